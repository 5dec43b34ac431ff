# The history of pressure: written while nobody looks and when all connections are taken, bounded, and read by superusers in their reserve.
use lib 'test/lib';
use PgweirTest;

my $pg = server(conf => {max_connections => 20, superuser_reserved_connections => 10, max_worker_processes => 4, 'pgweir.history_pools' => 2, 'pgweir.flush_interval' => '200ms'});
$pg->sql('create extension pgweir; create role app login; create role doctor login; grant pg_monitor to doctor');

sub report { my ($name, $pools) = @_; $pg->sql(qq(select pgweir.report('$name', 1, '{"pools": [$pools]}'))); return; }
sub value { my ($sql) = @_; return $pg->sql("select $sql"); }

# --- all connections are taken, then they are left again: nobody looked meanwhile ---

# A session that has answered is there; one that has come while others were about to leave may be refused.
my @taken = map {
	eventually {
		my $session = $pg->psql_session(user => 'app');
		return $session if $session->query('select 1') eq '1';
		$session->quit;
		return;
	} 'a connection'
} 1 .. 10;
$_->query('begin; select 1') for @taken[0 .. 2];
like((PgweirTest::run_program(['psql', '-XAtq', '-c', 'select 1'], env => {$pg->environment(user => 'app')}))[2], qr/remaining connection slots are reserved|too many clients/, 'the server takes no more of ordinary users');
my $views = join '; ', map { "select count(*) from pgweir.$_" } qw(diagnosis pool_pressure connections pressure_history);
is(scalar(split /\n/, $pg->sql($views)), 4, 'a superuser still gets in, by superuser_reserved_connections, and can look');
like($pg->sql(q{select verdict from pgweir.pool_pressure where scope = 'server'}), qr/^exhausted: 1\d of 10 connections in use/, 'and sees it');
my ($culprit, $evidence) = split /\|/, $pg->sql(q{select verdict, evidence from pgweir.diagnosis where cause = 1});
is($culprit, 'culprit', 'the diagnosis names it');
like($evidence, qr/1\d of 10 connections in use \(\d+ active, 3 idle in transaction\)/, 'with the numbers');
my $then = value('clock_timestamp()');
eventually { value("count(*) from pgweir.pressure_history where scope = 'server' and at > '$then' and idle_in_transaction = 3") >= 2 } 'seconds with everything taken';
my $full = eventually { value("max(at) from pgweir.pressure_history where scope = 'server' and at > '$then' and idle_in_transaction = 3 and idle = 7") } 'one of them without the one who looks';
$then = value('clock_timestamp()');
$_->quit for @taken;
eventually { value("count(*) from pgweir.pressure_history where scope = 'server' and at > '$then' and idle = 0") } 'a second with nothing taken';
is(value("concat_ws(' ', size, idle, idle_in_transaction, pressure) from pgweir.pressure_at('$full'::timestamptz + interval '500 ms') where scope = 'server'"), '10 7 3 1', 'afterwards it can still be seen');
is(value('count(*) from pgweir.pressure_at(now() - interval \'2 hours\')'), 0, 'of a time before there is nothing');
is($pg->sql('select count(*) > 0 from pgweir.pressure_history', user => 'doctor'), 't', 'members of pg_monitor may look');
like($pg->sql_error('select count(*) from pgweir.pressure_history', user => 'app'), qr/42501/, 'others may not');
like(value("pgweir.pressure_since('in_transaction', 3, 3600)"), qr/^20/, 'since when something has been so');
is(value("pgweir.pressure_since('waiting', 1, 3600)"), '', 'or that it has not');
like($pg->sql_error("select pgweir.pressure_since('nonsense', 1)"), qr/22023: "nonsense" is no column/, 'of columns that there are');

# --- pools of several sidecars; a counter is seen in the second it grew ---

report('one', '{"db": "shop", "user": "app", "size": 10, "sv_active": 4, "cl_waiting": 0, "queries": 100, "wait_us": 5000}');
report('two', '{"db": "shop", "user": "app", "size": 5, "sv_active": 1, "queries": 7}');
eventually { value("count(distinct reporter) from pgweir.pressure_history where scope = 'pool'") == 2 } 'two pools';
report('one', '{"db": "shop", "user": "app", "size": 10, "sv_active": 4, "queries": 50, "cl_waiting": 3}');
eventually { value("max(waiting) from pgweir.pressure_history where reporter = 'one'") == 3 } 'the second report';
is(value("string_agg(reporter || ' ' || s, ' ' order by reporter) from (select reporter, sum(statements) as s from pgweir.pressure_history where scope = 'pool' group by 1) x"),
	'one 150 two 7', 'counters of each are split into seconds, none lost, none twice');
is(value("statements from pgweir.pressure_sums(60, 0) where scope = 'pools'"), 157, 'the sum of both');
report('one', join ', ', map { qq({"db": "d$_", "user": "app", "size": 1}) } 1 .. 5);
$then = value('clock_timestamp()');
eventually { value("count(*) from pgweir.pressure_history where scope = 'server' and at > '$then'") >= 2 } 'two more seconds';
cmp_ok(value("count(distinct (reporter, database)) from pgweir.pressure_history where scope = 'pool'"), '<=', 2, 'no more pools are kept than have a place');

# The two places are taken by pools that have nothing to do; one that is busy gets a place, and one that is idle does not get it back.
eventually {
	report('two', '{"db": "busy", "user": "app", "size": 9, "sv_active": 8, "cl_waiting": 4, "queries": 500, "query_us": 8000000}');
	value("count(*) from pgweir.pressure_history where scope = 'pool' and database = 'busy'") >= 1;
} 'the busy pool to take a place';
$then = value('clock_timestamp()');
eventually {
	report('one', '{"db": "late", "user": "app", "size": 1}');
	report('two', '{"db": "busy", "user": "app", "size": 9, "sv_active": 8, "cl_waiting": 4, "queries": 500, "query_us": 8000000}');
	value("count(*) from pgweir.pressure_history where scope = 'pool' and database = 'busy' and at > '$then'") >= 2;
} 'two seconds more of it';
is(value("count(*) from pgweir.pressure_history where scope = 'pool' and database = 'late'"), 0, 'the busiest pools have the places');
cmp_ok(value("max(size) from pgweir.pressure_history where scope = 'pools'"), '>=', 10, 'all pools together have one of their own');

# --- the trend ---

my $used = 100;
eventually {
	$used += 2;
	report('two', qq({"db": "grows", "user": "app", "size": 1000, "sv_active": $used}));
	select undef, undef, undef, 0.3;
	value("coalesce(exhausted_in_s, 0) > 0 from pgweir.pool_pressure where reporter = 'two'") eq 't';
} 'a time to exhaustion';
pass('a pool that fills is told when it will be full');
is(value("count(*) from pgweir.pool_pressure where scope = 'server' and exhausted_in_s is not null"), 0, 'one that does not is not');

# --- who holds ---

my $holder = $pg->psql_session(app => 'checkout');
$holder->query('begin; select 4242');
is(value("concat_ws('|', oldest_holder_query, oldest_holder_application) from pgweir.pool_pressure where scope = 'server'"), 'select 4242;|checkout', 'the oldest holder with its last statement');
my $pid = value('oldest_holder_pid from pgweir.pool_pressure where scope = \'server\'');
$pg->sql(qq(select pgweir.report('two', 1, '{"pools": [{"db": "shop", "user": "app", "size": 3, "sv_active": 1}], "servers": [{"pid": $pid, "db": "shop", "user": "app", "client": "10.1.2.3", "port": 99, "app": "till", "state": "idle in transaction"}]}')));
is(value("concat_ws('|', oldest_holder_client, oldest_holder_application, idle_in_transaction) from pgweir.pool_pressure where scope = 'pool' and reporter = 'two' and database = 'shop'"), '10.1.2.3:99|till|1', 'and its real client');
$holder->quit;

# --- settings ---

is(value("wait_ms || ' ' || rtt_ms from pgweir.thresholds()"), '50 60', 'thresholds by default');
is($pg->sql("set pgweir.thresholds = 'wait_ms=7, rtt_ms=80.5'; select wait_ms || ' ' || rtt_ms || ' ' || slow_ms from pgweir.thresholds()"), '7 80.5 10', 'a setting changes single ones');
like($pg->sql_error("set pgweir.thresholds = 'wait_ms=7, rtt'"), qr/invalid value for parameter.*What is wrong begins at "rtt".*wait_ms=100/s, 'and says what is wrong with it');
like($pg->sql_error("set pgweir.thresholds = 'wait_ms=7, wait=8'"), qr/invalid value for parameter.*There is no threshold "wait".*There are: slots_tight, .*wait_ms, .*silence_rate/s, 'a name that there is not is refused, with those that there are');
is($pg->sql("set pgweir.thresholds = '" . join(',', map { "$_=7" } split /\|/, value("string_agg(n, '|') from jsonb_object_keys(to_jsonb((select t from pgweir.thresholds() t))) n")) . "'; select string_agg(distinct value, ' ') from jsonb_each_text(to_jsonb((select t from pgweir.thresholds() t)))"), '7', 'every one that there is can be set');

# --- the worker comes back, and what was kept stays ---

my $seconds = value("count(*) from pgweir.pressure_history where scope = 'server'");
my $worker = value('pid from pgweir.sampler()');
kill 'TERM', $worker;
eventually { (value('pid from pgweir.sampler()') || $worker) != $worker } 'the worker to come back';
$then = value('clock_timestamp()');
eventually { value("count(*) from pgweir.pressure_history where scope = 'server' and at > '$then'") } 'a second of the new worker';
cmp_ok(value("count(*) from pgweir.pressure_history where scope = 'server'"), '>', $seconds, 'what was kept stays when the worker starts again');
$pg->sql('select pgweir.reset()');
cmp_ok(value("count(*) from pgweir.pressure_history where at < clock_timestamp() - interval '5 s'"), '==', 0, 'reset forgets it');
done_testing;
