# Reports to the extension: they arrive, add up exactly, survive outages, and nothing waits for them.
use PgweirTest;

my $pg = server;
$pg->sql('create extension pgweir');
$pg->sql("create role reporter login password 'rep-secret'; grant usage on schema pgweir to reporter; grant execute on function pgweir.report to reporter");
$pg->sql('create database plain');

my %report = (report_user => 'reporter', report_interval => '200ms', reporter_name => 'weir one', report_database => 'shop');
my $w = sidecar($pg, databases => {shop => 'dbname=postgres', plain => ''}, settings => {%report, default_pool_size => 2});
my $works = qr/LOG reporting to the extension works \(\S+:\d+, database "postgres", user "reporter"\)/;
my $broken = qr/WARNING reporting to the extension does not work/;

sub value { my ($sql) = @_; return $pg->sql("select $sql"); }
sub total { return value("coalesce(sum(total_queries), 0) from pgweir.pools() where reporter = 'weir one' and database = 'shop'"); }
sub count_log { my ($w, $pattern, $mark) = @_; my @found = $w->log_since($mark) =~ /$pattern/g; return scalar @found; }
# A report that began after now has been taken.
sub next_report
{
	my $seen = value("coalesce(max(reports), 0) from pgweir.reporters() where reporter = 'weir one'");

	return eventually { value("coalesce(max(reports), 0) from pgweir.reporters() where reporter = 'weir one'") >= $seen + 2 } 'two more reports';
}

ok($w->wait_log($works), 'the log says that it works');
next_report();
is(value("pid from pgweir.reporters() where reporter = 'weir one'"), $w->pid, 'the reporter is this process');
is(value("max_clients from pgweir.reporters()"), 100, 'with its limit');
is(value("count(*) from pg_stat_activity where application_name = 'pgweir' and usename = 'reporter'"), 1, 'on one connection');

my $c = $w->wire(dbname => 'shop', params => {application_name => 'till "1\\'});
subtest 'counters add up' => sub {
	$c->ask('select 1') for 1 .. 50;
	next_report();
	is(total(), 50, 'all queries, each once');
	next_report();
	is(total(), 50, 'and not again');
	$c->ask('select 1/0');
	$c->ask('select 1/0');
	next_report();
	is(value("total from pgweir.pool_errors() where sqlstate = '22012'"), 2, 'errors by SQLSTATE');
	is(value("mode from pgweir.pools() where database = 'shop'"), 'transaction', 'mode');
	is(value("size from pgweir.pools() where database = 'shop'"), 2, 'size');
	is(value("total_logins from pgweir.pools() where database = 'shop'"), 1, 'logins');
	cmp_ok(value("run_p50_ms from pgweir.pools() where database = 'shop'"), '>', 0, 'run times');
};

subtest 'linked servers and their clients' => sub {
	$c->ask('begin');
	my $pid = $c->value('select pg_backend_pid()');

	next_report();
	is(value("concat_ws('|', username, client, port, state, deadline_left_ms) from pgweir.linked() where pid = $pid"), 'postgres|127.0.0.1|' . $c->{socket}->sockport . '|idle in transaction', 'in a transaction');
	is(value("application_name from pgweir.linked() where pid = $pid"), 'till "1\\', 'application_name');
	$c->ask('rollback');
	$c->send(PgWire::query("/* pgweir_deadline='200s' */ select pg_sleep(3000)"));
	next_report();
	is(value("state from pgweir.linked() where state = 'active' limit 1"), 'active', 'running');
	my $left = value("deadline_left_ms from pgweir.linked() where deadline_left_ms is not null limit 1");
	ok($left > 100_000 && $left < 200_000, "its deadline ($left ms left)");
	$c->cancel;
	is($c->until_ready->{error}{C}, '57014', 'it is cancelled');
	next_report();
	becomes { value('count(*) from pgweir.linked()') } 0, 'nothing is linked when all is done';
};

subtest 'who waits' => sub {
	my @holders = map { $w->wire(dbname => 'shop') } 1 .. 2;

	$_->ask('begin') for @holders;
	$c->send(PgWire::query('select 5'));
	next_report();
	becomes { value("concat_ws('|', cl_waiting, sv_active, maxwait_us > 100000) from pgweir.pools() where database = 'shop'") } '1|2|t', 'one waits for some time, two are served';
	$_->ask('commit') for @holders;
	$c->until_ready;
	next_report();
	is(value("cl_waiting from pgweir.pools() where database = 'shop'"), 0, 'no more');
};

subtest 'sockets' => sub {
	my @more = map { $w->wire(dbname => 'shop') } 1 .. 2;

	next_report();
	becomes { value("n from pgweir.peers() where addr = '127.0.0.1' and kind = 'client'") } 3, 'clients by address';
	is(value("addr from pgweir.peers() where kind = 'server'"), "127.0.0.1:$pg->{port}", 'servers by address and port');
	cmp_ok(value("rtt_ms from pgweir.peers() where addr = '127.0.0.1'"), '>', 0, 'their round trip');
};

subtest 'a refused report costs nothing' => sub {
	my $mark = $w->log_mark;
	my $before = total();

	$pg->sql('revoke execute on function pgweir.report from reporter');
	ok($w->wait_log($broken, $mark), 'the log says that it does not work');
	like($w->log_since($mark), qr/permission denied for function report/, 'and why');
	$c->ask('select 1') for 1 .. 30;
	select undef, undef, undef, 3.5;
	is(count_log($w, $broken, $mark), 1, 'once');
	$pg->sql('grant execute on function pgweir.report to reporter');
	ok($w->wait_log($works, $mark), 'the log says that it works again');
	next_report();
	is(total(), $before + 30, 'what happened meanwhile is reported');
};

subtest 'the server restarts' => sub {
	my $mark = $w->log_mark;

	$pg->restart('immediate');
	ok($w->wait_log($broken, $mark), 'the loss is noticed');
	ok($w->wait_log($works, $mark), 'and it reports again');
	next_report();
	is(count_log($w, $broken, $mark), 1, 'one line for the outage');
	is($w->wire(dbname => 'shop')->value('select 1'), 1, 'clients are served');
};

subtest 'a server that does not answer holds up nobody' => sub {
	my $mark = $w->log_mark;
	my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => free_port, Listen => 5, ReuseAddr => 1) or die $!;
	my $d = $w->wire(dbname => 'shop');

	$w->{databases}{silent} = 'host=127.0.0.1 dbname=postgres port=' . $silent->sockport;
	$w->{settings}{report_database} = 'silent';
	$w->write_config;
	$w->reload;
	my @accepted;
	# each time from when it connects to the silent one
	in_time
	{
		my $slowest = 0;

		push @accepted, $silent->accept;
		for (1 .. 200)
		{
			my $t = Time::HiRes::time();

			$d->ask('select 1');
			$t = Time::HiRes::time() - $t;
			$slowest = $t if $t > $slowest;
		}
		return $slowest;
	}
	1, 'clients do not wait for it';
	ok($w->wait_log(qr/could not connect in time/, $mark), 'it gives up in time');
	$w->{settings}{report_database} = 'shop';
	$w->write_config;
	$w->reload;
	ok($w->wait_log($works, $mark), 'reload leads it back');
};

subtest 'no extension' => sub {
	my $mark = $w->log_mark;

	$w->console("set report_database = 'plain'");
	ok($w->wait_log(qr/$broken \(\S+, database "plain", user "reporter"\): ERROR:  schema "pgweir" does not exist; it will be tried again/, $mark), 'the log says so');
	is($w->wire(dbname => 'plain')->value('select 1'), 1, 'the sidecar works');
	$pg->sql('create extension pgweir; grant usage on schema pgweir to reporter; grant execute on function pgweir.report to reporter', dbname => 'plain');
	ok($w->wait_log(qr/reporting to the extension works \(\S+, database "plain"/, $mark), 'until the extension is there');
};

subtest 'off' => sub {
	$w->console('set report_interval = 0');
	eventually { value("count(*) from pg_stat_activity where usename = 'reporter'") == 0 } 'the connection to be closed';
	pass('report_interval = 0 closes the connection');
	$w->console('set report_interval = 1');
	eventually { value("count(*) from pg_stat_activity where usename = 'reporter'") == 1 } 'the connection to be back';
	pass('and another one opens it');
};

subtest 'with a password' => sub {
	my $secure = server(hba => ['host all reporter all scram-sha-256', 'host all all all trust']);
	$secure->sql("create extension pgweir; create role reporter login password 'rep-secret'; grant usage on schema pgweir to reporter; grant execute on function pgweir.report to reporter");
	my $v = sidecar($secure, databases => {shop => 'dbname=postgres'}, settings => {%report}, auth => {postgres => '', reporter => 'rep-secret'});

	ok($v->wait_log($works), "the auth file's password is used");
	unlike($v->log, qr/rep-secret/, 'and not in the log');
	$v->stop;
	$secure->stop;
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();
