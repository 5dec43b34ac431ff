# slow_samples and plan_history: what is kept of single executions, of what kinds, and who may read it.
use lib 'test/lib';
use PgweirTest;

my $pg = server(conf => {autovacuum => 'off', log_min_messages => 'panic', 'pgweir.slow_threshold' => '60ms', 'pgweir.sample_rate' => 0, deadlock_timeout => '10s'});
$pg->sql('create extension pgweir');
$pg->sql('create table t (id int primary key, v text); insert into t select g, g::text from generate_series(1, 1000) g; analyze t');
sub sample { my ($where) = @_; return $pg->rows("select * from pgweir.slow_samples where $where order by started desc limit 1")->[0] // {}; }
sub wire_run
{
	my ($wire, $sql, @values) = @_;

	$wire->send(PgWire::parse('', $sql), PgWire::bind_message('', '', @values), PgWire::execute(), PgWire::sync());
	return $wire->until_ready;
}

# --- slow: parameters, plan, tags; the next one with the rows of each node ---

my $wire = $pg->wire(params => {application_name => 'shop'});
my $slow = q{select count(*), pg_sleep(0.08) from t where id <= $1::int and v <> $2::text /*traceparent='00-aa-bb-01'*/};
wire_run($wire, $slow, 300, "it's");
my $s = sample(q{query ~ 'from t where id <='});
is("$s->{reason} $s->{outcome} $s->{username} $s->{application_name}", 'slow completed postgres shop', 'a slow execution is kept, with who sent it');
is($s->{parameters}, q({300,it's}), 'its parameters');
is($s->{traceparent}, '00-aa-bb-01', 'its trace');
cmp_ok($s->{duration_ms}, '>=', 60, 'its time');
like($s->{plan}, qr/^Aggregate .*\n.*(?:Seq|Index|Bitmap).* on t /, 'its plan');
unlike($s->{plan}, qr/actual/, 'without rows of nodes, which were not counted');
is($s->{actual_rows}, 1, 'but the rows of the whole');
like($s->{plan_json}, qr/^\{\s*"Plan": \{/, 'the plan in JSON');
is($s->{sent}, $slow, 'the text as it was sent');
wire_run($wire, $slow, 300, "it's");
$s = sample(q{query ~ 'from t where id <='});
like($s->{plan}, qr/actual rows=300/, 'the next one counts rows in each node');
like($s->{worst_node}, qr/Scan|Aggregate/, 'and names the node whose estimate was worst');
my $id = $s->{plan_id};
wire_run($wire, 'select pgweir.flush()');
is($pg->sql("select count(*) || ' ' || max(calls) || ' ' || bool_and(plan ~ 'Aggregate') from pgweir.plan_history where plan_id = $id"), '1 2 true', 'plan_history has the plan, and how often it ran');

# --- unusual: quick classes are measured by themselves ---

my $busy = $pg->psql_session(options => '-c pgweir.slow_threshold=-1');
$busy->query('create function nap(s float8) returns void language sql as $$ select pg_sleep(s) $$');
my $nap = sub { return "select nap($_[0]::float8) as of_nap" };
# Until those that the machine held up are less than a hundredth.
my $merged;
for (1 .. 50)
{
	$busy->query($nap->('0.0')) for 1 .. 120;
	$merged = $busy->query('select pgweir.flush() > 0');
	$busy->query($nap->('0.03'));
	$s = sample(q{query ~ 'of_nap' and duration_ms >= 30});
	last if ($s->{reason} // '') eq 'unusual' && $s->{usual_p99_ms} < 10;
}
is($merged, 't', 'a merge tells what is usual');
is($s->{reason} // '', 'unusual', 'thirty milliseconds of a statement that takes none are kept');
cmp_ok($s->{usual_p99_ms} // 0, '<', 10, 'beside what is usual');

# --- failed by a timeout: without the help of the executor's end ---

# The transaction's end takes the timeout along: a SET that does it would have to be done in that time itself.
wire_run($wire, $_) for 'begin', q{set local statement_timeout = '500ms'};
wire_run($wire, q{select pg_sleep(3600), $1::int as of_timeout, $2::text}, 42, 'x');
wire_run($wire, 'rollback');
$s = sample(q{query ~ 'of_timeout'});
is("$s->{reason} $s->{outcome}", 'failed statement timeout', 'one that was ended by a timeout is kept');
is($s->{parameters}, '{42,x}', 'with its parameters');
my $holder = $pg->psql_session;
$holder->query(q{begin; update t set v = 'held' where id = 7});
wire_run($wire, q{set lock_timeout = '400ms'});
# Who holds the lock is seen by the sampler, which may just be held up itself.
eventually {
	wire_run($wire, q{update t set v = $1 where id = $2::int}, 'mine', 7);
	$s = sample(q{outcome = 'lock timeout'});
	($s->{blocker_pid} // '') ne '' && ($s->{waits} // '') =~ /Lock/
} 'a wait that the sampler sees';
is("$s->{blocker_pid} $s->{blocker_idle_in_transaction}", $holder->query('select pg_backend_pid()') . ' t', 'who held the lock is named, and that it was idle in its transaction');
$s->{blocker_query} //= '';
like($s->{waits}, qr/Lock: transactionid \d+ ms/, 'what it waited for');
like($s->{parameters}, qr/^\{mine,7\}$/, 'with its parameters');
$holder->query('rollback');
wire_run($wire, q{set lock_timeout = 0});
# inside an exception block: the transaction goes on
$pg->sql(q{set pgweir.track = 'all'; set statement_timeout = 0; do $$ begin set local lock_timeout = '50ms'; lock table t nowait; perform pg_sleep(0.07); exception when others then null; end $$});
is($pg->sql('select 1'), 1, 'the session goes on');

# --- a change of plan ---

$pg->sql('create table p as select g as id, g % 10 as ten from generate_series(1, 20000) g; analyze p');
my $planned = 'select count(ten) as of_plans from p where id = 5';
$pg->sql($planned) for 1 .. 3;
$pg->sql('create index on p (id)');
$pg->sql($planned) for 1 .. 2;
my $plans = $pg->rows(q{select calls, plan, mean_ms > 0 as timed, first_seen <= last_seen as sane from pgweir.plan_history where query ~ 'of_plans' order by first_seen});
is(join(' ', map { "$_->{calls}$_->{timed}$_->{sane}" } @$plans), '3tt 2tt', 'each plan with its executions');
like($plans->[0]{plan} . '|' . $plans->[1]{plan}, qr/Seq Scan.*\|.*Index Scan/s, 'first the one, then the other');

# --- settings and rights ---

$pg->sql(q{set pgweir.sample_parameters = off; select pg_sleep(0.07), 'secret' as of_private});
$s = sample(q{query ~ 'of_private'});
is(join('', map { $_ // '' } @$s{qw(parameters sent plan_json)}), '', 'without sample_parameters, nothing that holds data is kept');
cmp_ok($s->{duration_ms} // 0, '>=', 60, 'but the time is');
$pg->sql(q{create role nobody login; create role observer login; grant pg_read_all_stats to observer});
for my $view (qw(slow_samples plan_history))
{
	like($pg->sql_error("select * from pgweir.$view", user => 'nobody'), qr/permission denied/, "$view is not for everybody");
	cmp_ok($pg->sql("select count(*) from pgweir.$view", user => 'observer'), '>', 0, 'but for who may read all statistics');
}
$pg->sql('select pgweir.reset()');
is($pg->sql(q{select count(*) from pgweir.slow_samples where sent !~ 'reset'}), 0, 'a reset forgets');

# the ring is bounded: many samples of long texts
my $many = $pg->psql_session(options => '-c pgweir.slow_threshold=0');
$many->query(q{select length($$} . ('x' x 2000) . "\$\$), $_ as of_ring") for 1 .. 300;
cmp_ok($pg->sql(q{select count(*) from pgweir.slow_samples where query ~ 'of_ring'}), '>', 100, 'a full ring keeps the newest');
is($pg->sql('select dropped from pgweir.info()'), 0, 'nothing was dropped');

# off
my $off = server(conf => {'pgweir.sample_memory' => 0, 'pgweir.max_plans' => 0, 'pgweir.slow_threshold' => 0, 'pgweir.max_callers' => 0});
$off->sql(q{create extension pgweir; select 1 as x /*application='a'*/});
is($off->sql(q{select (select count(*) from pgweir.slow_samples) || ' ' || (select count(*) from pgweir.plan_history)}), '0 0', 'without memory nothing is kept');
is($off->sql(q{select calls from pgweir.slow_queries where query ~ 'as x'}), 1, 'and statements are counted');
unlike($pg->log . $off->log, qr/PANIC|was terminated by signal|TRAP/, 'no crash');
done_testing;
