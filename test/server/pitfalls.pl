# What modules that count statements have tripped over, as far as no other test has it: the server without query ids, think time between the
# fetches of a cursor, commands that end their transaction, COPY, subtransactions, parallel workers, walsenders, EXPLAIN of everything, errors and waits
# before the analyser has ended, a killed backend, a standby.
use lib 'test/lib';
use PgweirTest;
use Time::HiRes 'sleep';

my $pg = server(conf => {wal_level => 'logical', log_min_messages => 'log', autovacuum => 'off'});
$pg->sql('create extension pgweir; create table t as select g as id from generate_series(1, 1000) g');
sub row { my ($pattern) = @_; return $pg->rows("select * from pgweir.slow_queries where query ~ '$pattern' and query !~ 'pgweir' order by calls desc limit 1")->[0] // {}; }

# --- without query ids nothing can be told apart, and that is said ---

my ($status, $out, $err) = run_program(['psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres',
	'-c', 'set compute_query_id = off', '-c', 'select 1 as of_no_id', '-c', 'select count(*) from pgweir.slow_queries where query ~ $$of_no_id$$']);
like($err, qr/WARNING:  statements are not counted while compute_query_id is off\nHINT:  Set compute_query_id = auto\./, 'without query ids the view says why it is empty');
is($out, "1\n0\n", 'and works');

# --- the time a client thinks between two fetches is not the statement's ---

my $wire = $pg->wire;
my $thinking;
# Until the machine has not held up the statement itself.
for (1 .. 20)
{
	$pg->sql('select pgweir.reset()');
	$wire->ask('begin');
	$wire->send(PgWire::parse('', 'select id as of_thinking from t'), PgWire::bind_message('c', ''), PgWire::execute('c', 5), PgWire::sync());
	$wire->until_ready;
	sleep 0.3;
	$wire->send(PgWire::execute('c', 5), PgWire::sync());
	$wire->until_ready;
	$wire->ask('commit');
	$thinking = row('of_thinking');
	last if $thinking->{max_ms} < 200;
}
is("$thinking->{calls} $thinking->{rows}", '1 10', 'a portal fetched in two parts is one execution');
cmp_ok($thinking->{max_ms}, '<', 200, 'without the time between them');

# --- commands that end the transaction, and free what they were called with ---

$pg->sql('select pgweir.reset()');
# ABORT is not among them: since 16 it is of the class of ROLLBACK.
for my $end ('commit', 'rollback', 'commit and chain', 'rollback and chain')
{
	for (1 .. 2)
	{
		$wire->ask('begin');
		$wire->send(PgWire::parse('', $end), PgWire::bind_message('', ''), PgWire::execute(), PgWire::sync());
		$wire->until_ready;
		$wire->ask('rollback') if $end =~ /chain/;
	}
	is(row("^$end\$")->{calls} // 0, 2, "$end is counted");
}
$pg->sql(q{create procedure ends() language plpgsql as $$ begin insert into t values (0); commit; insert into t values (0); rollback; end $$; call ends(); call ends()});
is(row('^call ends')->{calls}, 2, 'a procedure that ends transactions is, too');

# --- COPY has rows, blocks and WAL ---

($status, $out, $err) = run_program(['psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-c', 'create table copied (id int)',
	'-c', 'copy copied from stdin', '-c', 'copy (select copied.id from copied, t) to stdout'], stdin => join '', map { "$_\n" } 1 .. 300);
is($status, 0, 'COPY works') or diag $err;
my $copy = row('^copy copied from');
is("$copy->{calls} $copy->{rows} " . ($copy->{wal_bytes} > 300 * 4) . ' ' . ($copy->{shared_blks_dirtied} > 0), '1 300 1 1', 'a COPY FROM has its rows, WAL and blocks');
$copy = row('^copy .* to stdout');
is("$copy->{calls} $copy->{rows} " . ($copy->{shared_blks_hit} + $copy->{shared_blks_read} >= 5), '1 ' . 300 * $pg->sql('select count(id) from t') . ' 1', 'a COPY TO, too');

# --- subtransactions: what failed in one is counted, and so is what comes after it ---

$wire->ask($_) for 'begin', 'savepoint a', 'select 1/0 as of_sub', 'rollback to a', 'select 1/1 as of_sub', 'savepoint b', 'select 1/1 as of_sub', 'release b', 'rollback';
is(join(' ', @{row('of_sub')}{qw(calls completed data_errors)}), '3 2 1', 'what failed in a subtransaction, and what did not');

# --- parallel workers: one execution, that has their blocks ---

my $workers = $pg->psql_session(options => '-c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c min_parallel_table_scan_size=0 -c parallel_leader_participation=off -c max_parallel_workers_per_gather=2');
$workers->query(q{create table wide as select g as id, repeat('x', 500) as filler from generate_series(1, 20000) g});
$workers->query('analyze wide');
like($workers->query('explain analyze select count(filler) as of_workers from wide'), qr/Workers Launched: [12]/, 'workers are launched');
$workers->query('select count(filler) as of_workers from wide') for 1 .. 3;
my $parallel = row('^select count\\(filler\\) as of_workers');
is("$parallel->{calls} $parallel->{rows}", '3 3', 'parallel workers are no executions of their own');
cmp_ok($parallel->{shared_blks_hit} + $parallel->{shared_blks_read}, '>=', 3 * $pg->sql(q{select relpages from pg_class where relname = 'wide'}), 'and the blocks they read are their statement\'s');
$workers->quit;

# --- EXPLAIN runs nothing, EXPLAIN ANALYZE is itself ---

$pg->sql("explain select count(*) as of_explain from t where id = $_; explain analyze select count(*) as of_explain from t where id = $_") for 1 .. 2;
is($pg->sql(q{select coalesce(sum(calls), 0) from pgweir.slow_queries where query ~ '^select count.* as of_explain'}), 0, 'the statement of an EXPLAIN is not counted as executed by a client');
is($pg->sql(q{select sum(calls) from pgweir.slow_queries where query ~ '^explain.*of_explain'}), 4, 'the EXPLAIN is');

# --- a walsender runs statements, too, and decodes ---

($status, $out, $err) = run_program(['psql', '-XAtq', '-d', 'dbname=postgres replication=database user=postgres host=' . $pg->host . ' port=' . $pg->port,
	'-c', 'IDENTIFY_SYSTEM', '-c', 'select 1 as of_walsender', '-c', 'CREATE_REPLICATION_SLOT s LOGICAL test_decoding']);
is($status, 0, 'a walsender works') or diag $err;
is(row('of_walsender')->{calls} // 0, 1, 'its statements are counted');
is($pg->sql(q{insert into t values (5); select count(*) > 0 from pg_logical_slot_get_changes('s', null, null)}), 't', 'decoding works');

# One that streams executes nothing all the while.
my $at = $pg->sql(q{select pg_create_logical_replication_slot('streamed', 'test_decoding'); insert into copied values (4711); select pg_current_wal_insert_lsn()}) =~ s/.*\n//sr;
($status, $out, $err) = run_program(['pg_recvlogical', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-S', 'streamed', '--start', '--no-loop', '-f', '-', '-E', $at]);
is($status, 0, 'a walsender streams') or diag $err;
like($out, qr/table public\.copied: INSERT: id\[integer\]:4711/, 'what it decodes arrives');
ok(eventually { $pg->sql(q{select count(*) from pgweir.running_queries where query ~ 'START_REPLICATION'}) == 0 }, 'and it leaves nothing running');

# --- what fails or waits before its statement is analysed belongs to no class: the seconds count it, and the sampler sees it wait ---

my $early = $pg->psql_session;
$early->query(q{set log_min_messages = error});
my $errors = sub { return $pg->sql(q{select coalesce(sum(errors), 0) from pgweir.pressure_history where scope = 'server'}); };
my $errors_before = $errors->();
eval { $early->query($_) } for 'selec 1', 'select 1 from of_no_such_table', 'select of_no_such_column from t';
eventually { $errors->() >= $errors_before + 3 } 'three errors that were thrown before any class was known';
is($errors->(), $errors_before + 3, 'errors of syntax and of what is not there are counted, once each');
is($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ 'of_no_such' and query !~ 'pgweir'}), 0, 'as nobody\'s');
my $locker = $pg->psql_session;
$locker->query('begin; lock table t in access exclusive mode');
$early->start('select min(id) as of_early from t');
eventually { $pg->sql(q{select count(*) from pgweir.running_queries where query ~ 'of_early' and wait_event_type = 'Lock'}) } 'the analyser to wait for the table';
is($pg->sql(q{select lock_waited_for || ' ' || (queryid is null) || ' ' || blocker_idle_in_transaction from pgweir.running_queries where query ~ 'of_early'}),
	'AccessShareLock on relation t true true', 'a wait of the analyser is shown, with who blocks it');
eventually { $pg->sql(q{select coalesce(sum(wait_ms), 0) > 100 from pgweir.wait_profile where queryid is null and wait_event_type = 'Lock'}) eq 't' } 'the sampler to see it';
pass('and is in the profile, of no class');
$locker->query('rollback');
is($early->result, $pg->sql('select min(id) from t'), 'it goes on');
$_->quit for $early, $locker;

# --- pg_stat_activity tells the statement of the client only: what runs inside a function is that statement's ---

my $outer = $pg->psql_session(options => '-c pgweir.track=all');
$outer->query('create function of_outer() returns void language plpgsql as $$ begin perform count(pg_sleep(3600)) as of_inner from (values (1)) v; end $$');
$outer->start('select of_outer()');
eventually { $pg->sql(q{select count(*) from pg_stat_activity where wait_event = 'PgSleep'}) } 'the inner statement to run';
is($pg->sql(q{select query from pgweir.running_queries}), 'select of_outer();', 'a running function is shown as the statement that called it');
my $class = $pg->sql('select queryid from pgweir.running_queries');
$pg->sql(q{select pg_cancel_backend(pid) from pgweir.running_queries});
eval { $outer->result };
is($pg->sql("select query || ' ' || toplevel || ' ' || cancelled from pgweir.slow_queries where queryid = $class"), 'select of_outer() true 1', 'its class is that of the statement');
is($pg->sql(q{select toplevel || ' ' || cancelled from pgweir.slow_queries where query ~ 'of_inner' and query !~ 'create'}), 'false 1', 'what ran inside is a class of its own');
$outer->quit;

# --- a killed backend takes its own unmerged counts with it, no others: save.pl; and the server goes on counting ---

my $victim = $pg->psql_session;
kill 'KILL', $victim->query('select pg_backend_pid()');
eventually { $pg->log =~ /was terminated by signal 9.*ready to accept connections/s && (eval { $pg->sql('select 1 as of_recovery, 2, 3, 4') } // '') =~ /^1/ } 'the server to come back';
cmp_ok(row('of_recovery')->{calls} // 0, '>=', 1, 'after the crash of another backend statements are counted');

# --- a standby ---

$pg->stop;
PgweirTest::write_file("$pg->{data}/standby.signal", '');
$pg->start;
$pg->sql('select count(*) as of_standby from t') for 1 .. 3;
$pg->sql_error('select 1 / (id - id) as of_standby_failed from t');
is(row('as of_standby from')->{calls} // 0, 3, 'a standby counts');
is(row('as of_standby_failed')->{data_errors} // 0, 1, 'failures, too');
is($pg->sql(q{select count(*) >= 0 from pgweir.running_queries}) . $pg->sql('select pgweir.snapshot()'), 'tt', 'and its views can be read');
$pg->sql('select pgweir.reset()');
pass('and reset');
unlike($pg->log, qr/PANIC|was terminated by signal (?!9\b)|TRAP/, 'no crash but the one we made');
done_testing;
