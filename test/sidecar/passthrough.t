# SHOW PRESSURE and SHOW DIAGNOSIS: the extension's views over the connection that reports go over.
use PgweirTest;

my $pg = server(conf => {max_connections => 8, superuser_reserved_connections => 1, max_wal_senders => 0});
$pg->sql('create extension pgweir');
$pg->sql('create role app login; create role reporter login; grant usage on schema pgweir to reporter; grant execute on function pgweir.report to reporter');

my $w = sidecar($pg, databases => {shop => 'dbname=postgres', plain => 'dbname=template1'},
	settings => {report_user => 'reporter', report_interval => '200ms', reporter_name => 'one', report_database => 'shop', stats_users => 'watcher'},
	auth => {postgres => '', app => '', watcher => ''});
my $works = qr/reporting to the extension works/;

sub show_error { my ($what, %o) = @_; return $w->sql_error("show $what", user => 'admin', dbname => 'pgbouncer', %o); }

$w->wait_log($works);
subtest 'rights' => sub {
	like(show_error('diagnosis'), qr/the extension cannot be asked: permission denied for view diagnosis.*GRANT pg_read_all_stats to the role of report_user/s, 'the role of report_user needs one');
	$pg->sql('grant pg_read_all_stats to reporter');
	like($w->sql_error('show pressure', user => 'watcher', dbname => 'pgbouncer'), qr/admin access needed/, 'who may only read sees no statements of others');
};

subtest 'as the views say' => sub {
	my @rows = @{$w->console('show diagnosis')};
	my @names = split /\n/, $pg->sql(q{select attname from pg_attribute where attrelid = 'pgweir.diagnosis'::regclass and attnum > 0 order by attnum});

	is(scalar @rows, 7, 'seven causes');
	is(join(' ', sort keys %{$rows[0]}), join(' ', sort @names), 'every column of the view');
	is(join(' ', map { $_->{cause} } @rows), join(' ', split /\n/, $pg->sql('select cause from pgweir.diagnosis')), 'in its order');
	my $c = $w->wire(dbname => 'shop');
	$c->ask('select 1');
	eventually { grep { $_->{scope} eq 'pool' && $_->{database} eq 'shop' } @{$w->console('show pressure')} } 'the pool to be reported';
	my ($server) = grep { $_->{scope} eq 'server' } @{$w->console('show pressure')};
	is($server->{size}, 7, 'the server');
	is($server->{waiting}, '', 'NULL is NULL');
};

subtest 'when the server has no connection left' => sub {
	my @held = map { PgWire->connect(port => $pg->{port}, user => 'app', database => 'postgres', may_fail => 1) } 1 .. 8;

	ok((grep { $_->{failed} } @held), 'ordinary users find none');
	like($pg->sql_error('select 1', user => 'app'), qr/remaining connection slots are reserved|too many clients/, 'they are told so');
	my $server = eventually { (grep { $_->{scope} eq 'server' && $_->{verdict} =~ /exhausted/ } @{$w->console('show pressure')})[0] } 'the exhaustion';
	like($server->{verdict}, qr/exhausted: \d of 7 connections in use/, 'SHOW PRESSURE says it');
	is(scalar @{$w->console('show diagnosis')}, 7, 'SHOW DIAGNOSIS is there too');
	like($pg->sql('select verdict from pgweir.pool_pressure where scope = $$server$$'), qr/exhausted/, 'a superuser has superuser_reserved_connections');
	undef @held;
	# (the backend of the superuser who asked last may still be there, too)
	eventually { eval { $pg->sql("select count(*) from pg_stat_activity where usename = 'app' and application_name = ''") == 0 } } 'those to leave';
};

subtest 'several at once, and some that do not wait' => sub {
	my @consoles = map { $w->wire(user => 'admin', dbname => 'pgbouncer') } 1 .. 6;

	$pg->sql('select pg_sleep(0)');
	$_->send(PgWire::query('show diagnosis')) for @consoles;
	close $consoles[$_]{socket} for 0, 2;
	for (1, 3, 4, 5)
	{
		my $answer = $consoles[$_]->until_ready;
		is(scalar @{$answer->{rows}}, 7, "number $_ is answered");
	}
	is(scalar @{$consoles[1]->ask('show version')->{errors}}, 0, 'and goes on');
	my $mark = $w->log_mark;
	my $seen = $pg->sql('select max(reports) from pgweir.reporters()');
	eventually { $pg->sql('select max(reports) from pgweir.reporters()') > $seen + 1 } 'reports to go on';
	unlike($w->log_since($mark), qr/does not work/, 'nothing was lost');
};

subtest 'a cancel request' => sub {
	my $blocker = $pg->psql_session;
	my $c = $w->wire(user => 'admin', dbname => 'pgbouncer');

	$blocker->query('begin; lock table pg_catalog.pg_authid in access exclusive mode');
	$c->send(PgWire::query('show pressure'));
	eventually { $blocker->query('select count(*) from pg_locks where not granted') } 'it to wait';
	PgWire->open_socket(port => $w->{port})->send(PgWire::cancel_request($c->{key}));
	is($c->until_ready->{errors}[0]{C}, '57014', 'ends the waiting');
	$blocker->query('rollback');
	is(scalar @{$c->ask('show diagnosis')->{rows}}, 7, 'the next one is answered');
};

subtest 'without the extension' => sub {
	$w->console("set report_database = 'plain'");
	$w->wait_log(qr/schema "pgweir" does not exist/);
	like(show_error('pressure'), qr/the extension cannot be asked: ERROR:  schema "pgweir" does not exist/, 'it is said');
	$w->console('set report_interval = 0');
	like(show_error('diagnosis'), qr/the extension cannot be asked: nothing is reported to it.*report_user/s, 'when reports are off');
	$w->console("set report_database = 'shop'");
	$w->console("set report_interval = '200ms'");
	eventually { eval { scalar @{$w->console('show diagnosis')} } } 'answers again';
	pass('and it comes back');
};

subtest 'the server goes away' => sub {
	my $mark = $w->log_mark;

	$pg->stop;
	$w->wait_log(qr/reporting to the extension does not work/, $mark);
	like(show_error('pressure'), qr/the extension cannot be asked: /, 'it is said');
	$pg->start;
	eventually { eval { scalar @{$w->console('show pressure')} } } 'answers again';
	pass('and it comes back');
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();
