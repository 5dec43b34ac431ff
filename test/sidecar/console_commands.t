# The console's commands: grammar, tags, errors, what they do, and those that wait.
use PgweirTest;

my $pg = server;
my $w = sidecar($pg, databases => {shop => 'dbname=postgres', store => 'dbname=postgres', '*' => ''}, settings => {default_pool_size => 3, suspend_timeout => 1});
my $admin = $w->wire(user => 'admin', dbname => 'pgbouncer');

# The answer of a command in one line: its tag, or SQLSTATE and message of the error.
sub says { my ($c, $sql) = @_; my $a = ref $sql ? $sql->() : $c->ask($sql); return defined $a->{status} ? $a->{error} ? "$a->{error}{S} $a->{error}{C} $a->{error}{M}" : "@{$a->{tags}}" : 'closed'; }
sub console_is { my ($sql, $expected, $name) = @_; return is(says($admin, $sql), $expected, $name // ($sql eq '' ? '(nothing)' : $sql)); }
sub refused { my ($sql, $message) = @_; return console_is($sql, "ERROR 08P01 $message"); }
sub rows { my ($show) = @_; return @{$w->console($show)}; }
sub state { my %state = map { $_->{key} => $_->{value} } rows('show state'); return join ' ', grep { $state{$_} eq 'yes' } qw(active paused suspended); }
# Is there an answer within so many seconds?
sub answered { my ($c, $seconds) = @_; return IO::Select->new($c->{socket})->can_read($seconds) ? 1 : 0; }

subtest 'grammar' => sub {
	refused($_, "invalid command '$_', use SHOW HELP;")
	  for ('foo', '', ';', 'show', 'show foo', 'select 1', 'show version x', 'show pools; show pools', 'set verbose', 'set a b', 'reload now', 'suspend x', 'shutdown now', "pause 'shop'", '/* c */ show version');
	refused($_, 'bad arguments') for 'abcdefghijklmnopqrst', 'show ' . 'a' x 64, "set verbose = '" . '1' x 256 . "'";
	console_is($_, 'SHOW') for ' show  version ; ', 'SHOW "VERSION"', "\tselect\nversion\r\n;";
	console_is('pause "no ""such"" one"', 'PAUSE', 'a quoted name');
	is((grep { $_->{name} eq 'no "such" one' } rows('show databases'))[0]{paused}, 1, 'its quotes are undone');
	console_is('resume "no ""such"" one"', 'RESUME');
};

subtest 'protocol' => sub {
	my $c = $w->wire(user => 'admin', dbname => 'pgbouncer');
	my $a;

	is($c->{params}{server_version} =~ m{/bouncer$} ? 'bouncer' : $c->{params}{server_version}, 'bouncer', 'server_version');
	is(join(',', map { "$_=$c->{params}{$_}" } sort grep { $_ ne 'server_version' } keys %{$c->{params}}), 'DateStyle=ISO,TimeZone=GMT,client_encoding=UTF8,is_superuser=on,server_encoding=UTF8,standard_conforming_strings=on', 'parameters');
	$c->send(PgWire::query('show version') . PgWire::query('nonsense') . PgWire::query('show state'));
	is(join('|', map { says($c, sub { $c->until_ready }) } 1 .. 3), "SHOW|ERROR 08P01 invalid command 'nonsense', use SHOW HELP;|SHOW", 'several commands at once');
	$c->send(PgWire::extended('show version'));
	$a = $c->until_ready;
	is($a->{error}{M}, 'extended query protocol not supported by admin console', 'extended protocol');
	is($a->{status}, undef, 'and disconnect');
	$c = $w->wire(user => 'admin', dbname => 'pgbouncer');
	$c->send(PgWire::copy_done());
	is($c->until_ready->{error}{M}, 'unsupported packet type for admin console: 99', 'another message');
	is($w->wire(user => 'admin', dbname => 'pgweir')->ask('show version')->{error}, undef, 'the console has a second name');
};

subtest 'set and reload' => sub {
	my $a;

	console_is('set query_wait_timeout = 33', 'SET query_wait_timeout=33');
	is((grep { $_->{key} eq 'query_wait_timeout' } rows('show config'))[0]{value}, 33, 'in use');
	console_is("SET pool_mode TO 'session';", 'SET pool_mode=session');
	refused('set no_such_key = 1', 'SET failed');
	$a = $admin->ask("set default_pool_size = 'many'");
	is($a->{error}{M}, 'SET failed', 'a bad value');
	like($a->{error}{D}, qr/default_pool_size/, 'the detail names the key');
	console_is('set listen_port = 1', 'SET listen_port=1', 'a fixed key is accepted');
	is((grep { $_->{key} eq 'listen_port' } rows('show config'))[0]{value}, $w->{port}, 'and ignored');
	console_is('reload', 'RELOAD');
	is((grep { $_->{key} eq 'pool_mode' } rows('show config'))[0]{value}, 'transaction', 'reload undoes SET');
	my $good = slurp($w->{file});
	write_file($w->{file}, $good . "\n[pgweir]\ndefault_pool_sise = 4\n");
	$a = $admin->ask('reload');
	is("$a->{error}{S} $a->{error}{C} $a->{error}{M}", 'ERROR F0000 RELOAD failed, see logs for additional details', 'a bad file');
	like($a->{error}{D}, qr/\Q$w->{file}\E.*default_pool_sise.*default_pool_size/s, 'the detail names file, key and what is right');
	write_file($w->{file}, $good);
	console_is('reload', 'RELOAD');
};

subtest 'pause and resume' => sub {
	my $c = $w->wire(dbname => 'shop');
	my $other = $w->wire(dbname => 'store');

	refused('resume', 'pooler is not paused/suspended');
	refused('resume shop', 'database shop is not paused');
	refused('resume pgbouncer', 'database pgbouncer is not paused');
	refused('resume nobody', 'no such database: nobody');
	refused('pause pgbouncer', 'cannot pause admin db: pgbouncer');
	is($c->value('select 1'), 1, 'before');
	console_is('pause', 'PAUSE');
	is(state(), 'paused', 'state');
	refused($_, 'already suspended/paused') for 'pause', 'pause shop', 'suspend', 'kill', 'kill shop';
	$c->send(PgWire::query('select 2'));
	ok(!answered($c, 0.3), 'a query waits');
	is(scalar(grep { $_->{state} ne 'new' } rows('show servers')), 0, 'idle servers are closed');
	console_is('resume', 'RESUME');
	is($c->until_ready->{rows}[0][0], 2, 'and is answered');
	console_is('pause shop', 'PAUSE');
	is((grep { $_->{name} eq 'shop' } rows('show databases'))[0]{paused}, 1, 'SHOW DATABASES');
	is(state(), 'active', 'the others go on');
	is($other->value('select 3'), 3, 'as they do');
	$c->send(PgWire::query('select 4'));
	ok(!answered($c, 0.3), 'its own query waits');
	refused('suspend', 'cannot suspend with paused databases');
	console_is('resume shop', 'RESUME');
	is($c->until_ready->{rows}[0][0], 4, 'and is answered');
};

subtest 'a pause waits for the transactions' => sub {
	my ($c, $asker) = ($w->wire(dbname => 'shop'), $w->wire(user => 'admin', dbname => 'pgbouncer'));

	for my $pause ('pause', 'pause shop')
	{
		(my $resume = $pause) =~ s/pause/resume/;
		$c->ask('begin');
		$asker->send(PgWire::query($pause));
		ok(!answered($asker, 0.3), "$pause waits");
		$asker->send(PgWire::query('show version'));
		$c->ask('commit');
		is(says($asker, sub { $asker->until_ready }), 'PAUSE', "$pause is answered after the commit");
		is(says($asker, sub { $asker->until_ready }), 'SHOW', 'the next command comes after it');
		console_is($resume, 'RESUME');

		$c->ask('begin');
		$asker->send(PgWire::query($pause));
		ok(!answered($asker, 0.2), "$pause waits again");
		$asker->cancel;
		is(says($asker, sub { $asker->until_ready }), 'ERROR 57014 canceling statement due to user request', "$pause: Ctrl-C ends it");
		is($c->ask('commit')->{tags}[0], 'COMMIT', 'the transaction was not touched');
		is($c->value('select 1'), 1, 'and everything goes on');
		is(state(), 'active', 'active');

		$c->ask('begin');
		$asker->send(PgWire::query($pause));
		ok(!answered($asker, 0.2), "$pause waits once more");
		console_is($resume, 'RESUME');
		is(says($asker, sub { $asker->until_ready }), 'ERROR 08P01 resumed before everything had come to rest', 'somebody else resumes');

		$asker->send(PgWire::query($pause));
		ok(!answered($asker, 0.2), "$pause waits a last time");
		$asker->vanish;
		# (a commit that came first would complete the pause)
		eventually { state() eq 'active' && !grep { $_->{paused} } rows('show databases') } 'the pause to be undone';
		$c->ask('commit');
		is($c->value('select 1'), 1, 'the client went while it waited: undone');
		$asker = $w->wire(user => 'admin', dbname => 'pgbouncer');
	}
	console_is('pause', 'PAUSE');
	$w->wire(user => 'admin', dbname => 'pgbouncer')->disconnect;
	is(state(), 'paused', 'a complete pause stays when consoles come and go');
	console_is('resume', 'RESUME');
};

subtest 'suspend' => sub {
	my $c = $w->wire(dbname => 'shop');
	my $suspender = $w->wire(user => 'admin', dbname => 'pgbouncer');

	is(says($suspender, 'suspend'), 'SUSPEND', 'suspend');
	$c->send(PgWire::query('select 5'));
	ok(!answered($c, 0.3), 'nothing is read');
	is(says($suspender, 'show version'), 'SHOW', 'but the console is');
	is(says($suspender, 'pause'), 'ERROR 08P01 already suspended/paused', 'pause is refused');
	is(says($suspender, 'resume'), 'RESUME', 'resume');
	is($c->until_ready->{rows}[0][0], 5, 'and it goes on');
	is(says($suspender, 'suspend'), 'SUSPEND', 'suspend again');
	$c->send(PgWire::query('select 6'));
	ok(!answered($c, 0.3), 'nothing is read');
	$suspender->disconnect;
	is($c->until_ready->{rows}[0][0], 6, 'the end of the console that suspended is a resume');
	is(state(), 'active', 'active');

	# somebody does not read his answer: suspend_timeout
	$suspender = $w->wire(user => 'admin', dbname => 'pgbouncer');
	my $lazy = $w->wire(dbname => 'shop');
	$lazy->send(PgWire::query("select repeat('x', 1000) from generate_series(1, 100000)"));
	eventually { grep { $_->{send_remain} > 0 } rows('show sockets') } 'a full socket';
	my $began = Time::HiRes::time();
	$suspender->send(PgWire::query('suspend'));
	is(says($suspender, sub { $suspender->until_ready }), 'SUSPEND', 'suspend waits for who does not read no longer than suspend_timeout');
	cmp_ok(Time::HiRes::time() - $began, '>=', 1, '... but as long');
	ok($w->wait_log(qr/closing because: suspend_timeout/), 'who did not read is gone');
	is(says($suspender, 'resume'), 'RESUME', 'resume');
	is($c->value('select 7'), 7, 'the others go on');
};

subtest 'disable and enable' => sub {
	my $c = $w->wire(dbname => 'shop');

	refused($_, 'a database is required') for 'disable', 'enable';
	refused('disable pgbouncer', 'cannot disable admin db: pgbouncer');
	refused('enable pgbouncer', 'cannot enable admin db: pgbouncer');
	refused('enable nobody', 'no such database: nobody');
	console_is('disable shop', 'DISABLE');
	is($w->wire(dbname => 'shop', may_fail => 1)->{failed}{M}, 'database "shop" is disabled', 'new clients are refused');
	is($c->value('select 1'), 1, 'old ones go on');
	console_is('enable shop', 'ENABLE');
	is($w->wire(dbname => 'shop')->value('select 2'), 2, 'new clients again');
};

subtest 'reconnect and wait_close' => sub {
	my $c = $w->wire(dbname => 'shop');
	my $waiter = $w->wire(user => 'admin', dbname => 'pgbouncer');
	my $pid = $c->value('select pg_backend_pid()');

	refused('reconnect pgbouncer', 'cannot reconnect admin db: pgbouncer');
	refused('wait_close pgbouncer', 'cannot wait in admin db: pgbouncer');
	console_is('wait_close', 'WAIT_CLOSE');
	console_is('reconnect shop', 'RECONNECT');
	isnt($c->value('select pg_backend_pid()'), $pid, 'an idle server is replaced');
	$c->ask('begin');
	$pid = $c->value('select pg_backend_pid()');
	console_is('reconnect', 'RECONNECT');
	is((grep { $_->{remote_pid} == $pid } rows('show servers'))[0]{close_needed}, 1, 'a busy one is marked');
	$waiter->send(PgWire::query('wait_close shop'));
	ok(!answered($waiter, 0.3), 'wait_close waits');
	is($c->value('select pg_backend_pid()'), $pid, 'the transaction goes on');
	$c->ask('commit');
	is(says($waiter, sub { $waiter->until_ready }), 'WAIT_CLOSE', 'until the transaction ends');
	isnt($c->value('select pg_backend_pid()'), $pid, 'then it is replaced');
};

subtest 'kill' => sub {
	my ($c, $other) = ($w->wire(dbname => 'shop'), $w->wire(dbname => 'store'));

	refused('kill pgbouncer', 'cannot kill admin db: pgbouncer');
	$c->ask('begin');
	is($other->value('select 1'), 1, 'another database');
	console_is('kill shop', 'KILL');
	is($c->until_ready->{error}{M}, 'database removed', 'its clients are told');
	is(scalar(grep { $_->{database} eq 'shop' } rows('show servers')), 0, 'its servers are closed');
	is($other->value('select 2'), 2, 'the other goes on');
	console_is('resume shop', 'RESUME', 'it was left paused');
	is($w->wire(dbname => 'shop')->value('select 3'), 3, 'and works again');
	console_is('kill', 'KILL');
	is($other->until_ready->{error}{M}, 'database removed', 'kill without a name: everybody');
	is(join(' ', sort map { $_->{name} } grep { $_->{paused} && $_->{name} =~ /^s/ } rows('show databases')), 'shop store', 'all are paused');
	console_is('resume shop', 'RESUME', 'one by one');
	console_is('resume', 'RESUME', 'or together');
	is($w->wire(dbname => 'store')->value('select 4'), 4, 'the others work again');
	refused('resume', 'pooler is not paused/suspended');
};

subtest 'kill_client' => sub {
	my ($c, $bystander) = ($w->wire(dbname => 'shop', params => {application_name => 'victim'}), $w->wire(dbname => 'shop'));
	my $pid = $c->ask('begin') && $c->value('select pg_backend_pid()');
	my ($row) = grep { $_->{application_name} eq 'victim' } rows('show clients');

	refused("kill_client $_", 'invalid client pointer supplied') for 'abc', '1x';
	refused('kill_client', 'invalid client pointer supplied');
	refused('kill_client 999999', 'client not found');
	$c->send(PgWire::query('select pg_sleep(100)'));
	eventually { $pg->sql("select 1 from pg_stat_activity where pid = $pid and state = 'active' and query like '%pg_sleep(100)%'") } 'its statement to run';
	console_is("kill_client $row->{id}", 'KILL_CLIENT');
	is($c->until_ready->{error}{M}, 'admin forced disconnect', 'the client is told');
	eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $pid") == 0 } 'its backend to end';
	pass('and its server connection closed');
	is($bystander->value('select 1'), 1, 'nobody else');
	my $self = $w->wire(user => 'admin', dbname => 'pgbouncer');
	my ($me) = grep { $_->{database} eq 'pgbouncer' && $_->{port} == $self->{socket}->sockport } rows('show clients');
	is($self->ask("kill_client $me->{id}")->{error}{M}, 'admin forced disconnect', 'a console may end itself');
};

subtest 'databases of * are registered' => sub {
	console_is('pause template1', 'PAUSE');
	is((grep { $_->{name} eq 'template1' } rows('show databases'))[0]{paused}, 1, 'by pause');
	console_is('resume template1', 'RESUME');
	ok($w->wait_log(qr/registered new auto-database: template1/), 'with a line in the log');
	refused('resume template0', 'no such database: template0');
	console_is('disable template0', 'DISABLE', 'disable template0');
};

subtest 'shutdown' => sub {
	my $c = $w->wire(dbname => 'shop');

	$c->ask('begin');
	console_is('shutdown wait_for_clients', 'SHUTDOWN');
	refused('resume', 'pooler is shutting down');
	is($c->value('select 1'), 1, 'who is there goes on');
	$c->ask('commit');
	ok($w->alive, 'and the process with it');
	$c->disconnect;
	eventually { !$w->alive } 'the process to end with its last client';
	$w->start;
	$admin = $w->wire(user => 'admin', dbname => 'pgbouncer');
	$c = $w->wire(dbname => 'shop');
	$c->ask('begin');
	console_is('shutdown wait_for_servers', 'SHUTDOWN');
	is($c->ask('commit')->{tags}[0], 'COMMIT', 'the transaction is finished');
	eventually { !$w->alive } 'the process to end with its last transaction';
	is($w->{status}, 0, 'exit code 0');
	$w->start;
	$admin = $w->wire(user => 'admin', dbname => 'pgbouncer');
	$c = $w->wire(dbname => 'shop');
	$c->ask('begin');
	$admin->send(PgWire::query('shutdown'));
	is(says($admin, sub { $admin->until_ready }), 'closed', 'shutdown: no answer but the end');
	eventually { !$w->alive } 'the process to end';
	is($w->{status}, 0, 'exit code 0');
	is($c->until_ready->{status}, undef, 'clients are cut off');
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();
