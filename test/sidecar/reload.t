# RELOAD: each kind of change and its effect; a bad file changes nothing at all.
use PgweirTest;

my $pg = server(preload => '', conf => {listen_addresses => '127.0.0.1,127.0.0.2'});
$pg->sql('create role app login superuser; create role other login superuser; create database second');
my $w = sidecar($pg, databases => {a => 'dbname=postgres', b => 'dbname=postgres', c => 'dbname=postgres'}, users => {}, auth => {postgres => '', app => ''}, dbname => 'a');
my ($c, $d, $pid);

sub config { my ($key) = @_; return (grep { $_->{key} eq $key } @{$w->console('show config')})[0]{value}; }
sub database { my ($name) = @_; return (grep { $_->{name} eq $name } @{$w->console('show databases')})[0]; }
sub pid { return $_[0]->value('select pg_backend_pid()'); }
sub refused { my (%o) = @_; return ($w->wire(may_fail => 1, %o)->{failed} // {M => ''})->{M}; }
# RELOAD with other databases (undef takes one out).
sub databases { my (%change) = @_; for (keys %change) { if (defined $change{$_}) { $w->{databases}{$_} = $change{$_} } else { delete $w->{databases}{$_} } } return $w->set->reload; }

subtest 'settings' => sub {
	$w->set(default_pool_size => 7, query_timeout => '1.5')->reload;
	is(config('default_pool_size') . ' ' . config('query_timeout'), '7 1.5', 'a new value counts');
	is(database('a')->{pool_size}, 7, '... in the pools that inherit it');
	$w->set(default_pool_size => undef, query_timeout => undef)->reload;
	is(config('default_pool_size') . ' ' . config('query_timeout'), '20 0', 'a line that is gone means the default again');
	$w->set(listen_port => 1)->reload;
	is(config('listen_port'), $w->port, 'a key that needs a restart keeps its value');
	$w->set(listen_port => $w->port)->reload;
	$w->{ini} = "[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = trust\nauth_file = $w->{auth_file}\nadmin_users = admin\nlogfile = $w->{log}\npool_mode = transaction\nmin_pool_size = 1\n[databases]\nlate = host=127.0.0.1 port=$pg->{port} dbname=postgres\n";
	$w->set(reserve_pool_size => 3)->reload;
	is(config('min_pool_size') . ' ' . config('reserve_pool_size'), '1 0', 'a second [pgbouncer] at the end begins anew');
	is($w->wire(database => 'late')->value('select 1'), 1, '... and a second [databases] adds to the first');
	$w->{ini} = '';
	$w->set(reserve_pool_size => undef)->reload;
};
subtest 'pool_mode' => sub {
	$c = $w->wire; $d = $w->wire;
	$w->set(pool_mode => 'session')->reload;
	$pid = pid($c);
	isnt(pid($d), $pid, 'from transaction to session: each client keeps its server from the next statement on');
	$w->set(pool_mode => 'transaction', default_pool_size => 1)->reload;
	pid($c); pid($d);
	is(pid($c), pid($d), '... and back: both get by with one');
	$w->set(default_pool_size => undef)->reload;
};
subtest 'databases' => sub {
	databases(d => 'dbname=postgres');
	is($w->wire(database => 'd')->value('select 2'), 2, 'one more');
	$c = $w->wire(database => 'b');
	$c->ask('begin');
	databases(b => undef, d => undef);
	is($c->until_ready->{error}{M}, 'database removed', 'one less: its clients are told, also in a transaction');
	is(refused(database => 'b'), 'no such database: b', '... and new ones refused');
	databases(b => 'dbname=postgres');
	is($w->wire(database => 'b')->value('select 3'), 3, '... until it is back');
	for (['dbname', 'dbname=second', 'select current_database()', 'second'], ['host', 'dbname=second host=127.0.0.2', 'select host(inet_server_addr())', '127.0.0.2'],
		['user', 'dbname=second host=127.0.0.2 user=app', 'select current_user', 'app'], ['connect_query', "dbname=second host=127.0.0.2 user=app connect_query='set work_mem = ''7MB'''", 'show work_mem', '7MB'])
	{
		my ($key, $entry, $sql, $expected) = @$_;
		($c, $d) = ($w->wire(database => 'c'), $w->wire(database => 'c'));
		$d->ask('begin');
		my $before = $d->value($sql);
		databases(c => $entry);
		if ($key eq 'user') { $c->disconnect; $c = $w->wire(database => 'c'); } # who is there stays in his pool
		is($c->value($sql), $expected, "$key changed: servers are replaced");
		is($d->value($sql), $before, '... not within a transaction');
		$d->ask('commit');
		is($d->value($sql), $expected, '... but after it') if $key ne 'user';
		$_->disconnect for $c, $d;
	}
	($c, $d) = ($w->wire(database => 'a'), $w->wire(database => 'a'));
	$pid = pid($c);
	databases(a => 'dbname=postgres pool_size=15 pool_mode=transaction');
	is($pg->sql("select count(*) from pg_stat_activity where pid = $pid"), 1, 'a size changed: servers stay');
	is(database('a')->{pool_size}, 15, '... and it counts');
	databases(a => 'dbname=postgres pool_size=1');
	eventually { my $p = $w->pool('a', 'postgres'); $p->{sv_idle} + $p->{sv_active} == 1 } 'those too many to go';
	pass('a smaller size: servers that are too many are closed');
	$c->ask('begin');
	$d->send(PgWire::query('select 4'));
	eventually { $w->pool('a', 'postgres')->{cl_waiting} == 1 } 'one waits';
	databases(a => 'dbname=postgres pool_size=2');
	is($d->until_ready->{rows}[0][0], 4, '... also for who waits already');
	$c->ask('commit');
	databases(a => 'dbname=postgres');
};
subtest 'users' => sub {
	$w->{users} = {app => 'pool_mode=session max_user_client_connections=1'};
	$w->set->reload;
	$c = $w->wire(user => 'app');
	is(refused(user => 'app'), 'client connections exceeded (max_user_client_connections)', "a user's limit");
	$w->{users} = {};
	$w->set->reload;
	is(refused(user => 'app'), '', '... gone with its line');
	is(refused(user => 'other'), '"trust" authentication failed', 'a user who is not in auth_file');
	$w->set_auth(postgres => '', other => '');
	$w->reload;
	is(refused(user => 'other'), '', '... is let in when he has come to it');
	is(refused(user => 'app'), '"trust" authentication failed', '... and who has left it is not');
	is($c->value('select 5'), 5, '... but keeps what he has');
};
subtest 'a bad file' => sub {
	my $good = slurp($w->{file});
	my %files = (
		'unknown key' => ["default_pool_sise = 5", qr/:\d+: default_pool_sise: unknown key; did you mean default_pool_size/],
		'bad number' => ["default_pool_size = many", qr/:\d+: default_pool_size/],
		'bad choice' => ["pool_mode = sometimes", qr/:\d+: pool_mode/],
		'bad time' => ["query_timeout = -1", qr/:\d+: query_timeout/],
		'no key' => ["what is this", qr/:\d+: /],
		'unknown section' => ["[nonsense]", qr/:\d+: .*nonsense/],
		'bad entry' => ["[databases]\nx = hots=1", qr/:\d+: .*hots/],
		'bad user' => ["[users]\nx = pool_mode=never", qr/:\d+: .*pool_mode/],
		'bad peer' => ["[peers]\n99999 = host=x", qr/:\d+: .*99999/],
		'missing file' => ["%include $w->{dir}/nowhere.ini", qr/nowhere\.ini/],
		'missing auth file' => ["auth_file = $w->{dir}/nowhere.txt", qr/nowhere\.txt/],
		'missing certificate' => ["client_tls_sslmode = require", qr/client_tls_cert_file/],
	);

	$c = $w->wire(database => 'b');
	$pid = pid($c);
	for my $name (sort keys %files)
	{
		my ($text, $says) = @{$files{$name}};

		write_file($w->{file}, $good =~ s/^b = .*\n//mr . "reserve_pool_size = 9\n$text\n");
		my $a = $w->wire(user => 'admin', database => 'pgbouncer')->ask('reload');
		is("$a->{error}{C} $a->{error}{M}", 'F0000 RELOAD failed, see logs for additional details', "$name: RELOAD says so");
		like($a->{error}{D}, $says, '... with what is wrong');
		is(config('reserve_pool_size') . (database('b') ? ' b' : ''), '0 b', '... and nothing of the file counts, not even the good lines before it');
	}
	is(pid($c), $pid, 'nobody has noticed');
	my $mark = $w->log_mark;
	$w->signal('HUP');
	$w->wait_log(qr/config file loading failed/, $mark);
	pass('the signal logs it');
	write_file($w->{file}, $good);
	$w->reload;
	is(config('reserve_pool_size'), 0, 'a good file is taken again');
};
is($w->complaints, '', 'no complaints of sanitizers');
done_testing;
