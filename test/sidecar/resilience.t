# What goes wrong around a pooler: the server restarts under load, is away, is full, ends single connections; limits and timeouts.
use PgweirTest;
use Time::HiRes 'time';

my $pg = server(preload => '', conf => {max_connections => 40, autovacuum => 'off'});
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 4, server_login_retry => 1, query_wait_timeout => 100});
my $a;

subtest 'the server restarts under load' => sub {
	$pg->pgbench('-i', '-q', '-s', 1) if $pg->can('pgbench');
	my @clients = map { $w->wire } 1 .. 12;

	$_->ask('select 1') for @clients;
	for my $mode (qw(fast immediate))
	{
		$_->send(PgWire::query('select pg_sleep(0.2)')) for @clients;
		$pg->restart($mode);
		for my $c (@clients)
		{
			my $answer = eval { $c->until_ready };

			next if $answer && !$answer->{error} && defined $answer->{status};
			like($answer->{error} ? "$answer->{error}{C} $answer->{error}{M}" : $@, qr/^(57P01|57P02|57P03|08P01|08006)/, "$mode: a proper error") if $answer && $answer->{error};
		}
		@clients = map { $w->wire } 1 .. 12;
		is(scalar(grep { $_->value('select 1') == 1 } @clients), 12, "$mode: afterwards everybody is served");
	}
	becomes { $w->pool('postgres', 'postgres')->{sv_active} } 0, 'no slot was lost';
};
subtest 'the server is away' => sub {
	my $c = $w->wire;

	$pg->stop;
	$c->send(PgWire::query('select 1'));
	select undef, undef, undef, 0.5;
	$pg->start;
	$a = $c->until_ready;
	is($a->{error} ? $a->{error}{M} : $a->{rows}[0][0], 1, 'a request waits until it is back') if defined $a->{status};
	is($w->wire->value('select 2'), 2, 'new clients are served');
};
subtest 'a backend is terminated' => sub {
	my ($c, $d) = map { $w->wire } 1 .. 2;

	$c->ask('begin');
	my $pid = $c->value('select pg_backend_pid()');
	$pg->sql("select pg_terminate_backend($pid)");
	$a = $c->until_ready;
	is($a->{errors}[0]{C}, '57P01', 'its client hears the server\'s word');
	is($a->{status}, undef, 'and is disconnected');
	$pid = $d->value('select pg_backend_pid()');
	$pg->sql("select pg_terminate_backend($pid)");
	eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $pid") == 0 && !grep { $_->{remote_pid} == $pid } @{$w->console('show servers')} } 'it is gone';
	is($d->value('select 3'), 3, 'an idle one is replaced unseen');
};
subtest 'the server is full' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'session', default_pool_size => 60, server_login_retry => 1});
	my @clients;
	my $more;

	for (1 .. 50)
	{
		my $c = $v->wire;

		$c->send(PgWire::query('select 1'));
		eventually { IO::Select->new($c->{socket})->can_read(0) || $v->log =~ /server login failed/ } 'an answer, or a refusal';
		if (!IO::Select->new($c->{socket})->can_read(0)) { $more = $c; last; }
		$c->until_ready;
		push @clients, $c;
	}
	cmp_ok(scalar @clients, '>=', 30, 'as many as the server takes are served');
	ok($more, 'the next one waits');
	like($v->log, qr/server login failed: FATAL .*(too many clients|remaining connection slots)/, 'the log has the server\'s word');
	is($clients[0]->value('select 4'), 4, 'those inside are unharmed');
	$clients[1]->disconnect;
	is($more->until_ready->{rows}[0][0], 1, 'who waits gets the place of the first who leaves');
	$_->disconnect for @clients[0, 2 .. $#clients], $more;
	$v->stop;
};
subtest 'query_wait_timeout' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 1, query_wait_notify => 0});
	my ($c, $d) = map { $v->wire } 1 .. 2;

	$c->ask('begin');
	$v->set(query_wait_timeout => 1)->reload;
	$d->send(PgWire::query('select 1'));
	$a = $d->until_ready;
	is("$a->{error}{S} $a->{error}{C} $a->{error}{M}", 'FATAL 08P01 query_wait_timeout', 'the old text, the old effect');
	is($c->ask('commit')->{status}, 'I', 'the others go on');
};
subtest 'server_lifetime and server_idle_timeout' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'transaction', server_lifetime => 1, server_idle_timeout => 0});
	my $c = $v->wire;
	my $pid = $c->value('select pg_backend_pid()');

	eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $pid") == 0 } 'it is closed';
	like($v->log, qr/closing because: server lifetime/, 'server_lifetime closes an old connection');
	isnt($c->value('select pg_backend_pid()'), $pid, '... and another one serves');
	$v = sidecar($pg, settings => {pool_mode => 'transaction', server_idle_timeout => 1});
	$c = $v->wire;
	$pid = $c->value('select pg_backend_pid()');
	eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $pid") == 0 } 'it is closed';
	like($v->log, qr/closing because: server idle timeout/, 'server_idle_timeout closes an unused one');
};
subtest 'pool modes' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'session', default_pool_size => 1}, databases => {'*' => '', stmt => 'dbname=postgres pool_mode=statement', tx => 'dbname=postgres pool_mode=transaction'});
	my ($c, $d) = map { $v->wire(database => 'tx') } 1 .. 2;

	is($c->value('select pg_backend_pid()'), $d->value('select pg_backend_pid()'), 'transaction mode shares a server');
	$c->disconnect;
	$d->disconnect;
	$c = $v->wire(database => 'stmt');
	is($c->value('select 5'), 5, 'statement mode');
	$a = $c->ask('begin');
	is($a->{errors}[-1]{M}, 'transaction blocks not allowed in statement pooling mode', '... has no transactions');
	my $s = $v->wire;
	$s->ask("set work_mem = '77MB'");
	my $pid = $s->value('select pg_backend_pid()');
	is($s->value('show work_mem'), '77MB', 'session mode keeps the session');
	$s->disconnect;
	my $t = $v->wire;
	is($t->value('select pg_backend_pid()'), $pid, '... the next client gets the same server');
	isnt($t->value('show work_mem'), '77MB', '... after a DISCARD ALL');
};
subtest 'limits of connections' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 3});
	my @clients = map { $v->wire } 1 .. 12;

	$_->send(PgWire::query('select pg_sleep(0.1), pg_backend_pid()')) for @clients;
	my %pids = map { $_->until_ready->{rows}[0][1] => 1 } @clients;
	cmp_ok(scalar keys %pids, '<=', 3, 'never more than pool_size servers');
};
subtest 'RELOAD keeps what works' => sub {
	my $mark = $w->log_mark;
	my $c = $w->wire;

	$w->set(default_pool_size => 'many');
	$w->signal('HUP');
	$w->wait_log(qr/default_pool_size/, $mark);
	like($w->log_since($mark), qr/pgweir\.ini:\d+: default_pool_size/, 'a bad file is named with line and key');
	is($c->value('select 6'), 6, 'and the old configuration stays in use');
	$w->set(default_pool_size => 5);
	$w->reload;
	is($w->console("show databases")->[0] ? 1 : 0, 1, 'a good one is taken');
	my ($row) = grep { $_->{key} eq 'default_pool_size' } @{$w->console('show config')};
	is($row->{value}, 5, '... and shows');
};
subtest 'PAUSE, RESUME and the soft shutdowns' => sub {
	my $c = $w->wire;

	$w->console('pause');
	$c->send(PgWire::query('select 7'));
	eventually { ($w->pool('postgres', 'postgres') // {})->{cl_waiting} } 'it waits';
	$w->console('resume');
	is($c->until_ready->{rows}[0][0], 7, 'a request waits while paused');
	$c->ask('begin');
	$w->signal('INT');
	eventually { PgWire->can('open_socket') && !eval { PgWire->open_socket(port => $w->{port}) } } 'the listener is closed';
	is($c->ask('select 8')->{rows}[0][0], 8, 'SIGINT lets a transaction end');
	$c->ask('commit');
	is($w->wait_end, 0, '... and then the process ends');
	$w->start;
	$c = $w->wire;
	$w->signal('TERM');
	eventually { !eval { PgWire->open_socket(port => $w->{port}) } } 'the listener is closed';
	is($c->value('select 9'), 9, 'SIGTERM lets clients stay');
	$c->disconnect;
	is($w->wait_end, 0, '... and ends with the last');
};
done_testing;
