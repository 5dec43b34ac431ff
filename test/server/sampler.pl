# The sampler sees what statements spend their time on, costs little, comes back after a crash, and works on a standby.
use lib 'test/lib';
use PgweirTest;

my $pg = server(conf => {autovacuum => 'off', log_min_messages => 'log', restart_after_crash => 'on'});
$pg->sql('create extension pgweir');
sub sampler { my (%o) = @_; return $pg->sql('select pid from pgweir.sampler()', %o); }

eventually { sampler() } 'the sampler to run';
pass('it starts with the server');

# --- what a class waits for ---

sub events
{
	my ($pattern) = @_;

	return {map { ("$_->{wait_event_type} $_->{wait_event}" => $_->{wait_ms}) } @{$pg->rows(
		"select wait_event_type, wait_event, wait_ms from pgweir.wait_profile where query ~ '$pattern' and query !~ 'wait_profile'")}};
}
$pg->sql('create table t (id int primary key, v int); insert into t values (1, 0)');
my $holder = $pg->psql_session;
$holder->query('begin; update t set v = 1');
my $waiter = $pg->psql_session;
$waiter->start('update t set v = 2 where id = 1');
eventually { (events('^update t set v = ..? where')->{'Lock transactionid'} // 0) > 100 } 'a wait for a lock to be seen';
pass('a wait for a lock is seen while it lasts');
$holder->query('rollback');
$waiter->result;
cmp_ok($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ '^update t set v = ..? where' and top_wait = 'Lock: transactionid' and waits[1] like 'Lock: transactionid %'}), '==', 1,
	'slow_queries shows the class with its top wait');
is($pg->sql(q{select pgweir.snapshot(); select top_wait || ' ' || (waits[1] like 'Lock: transactionid %') from pgweir.slow_queries_last_minute where query ~ '^update t set v = ..? where'}),
	"t\nLock: transactionid true", 'so does that of the last minute');

$waiter->start('select count(*) as busy from generate_series(1, 100000) a, generate_series(1, 1000000) b');
eventually { (events('as busy')->{'CPU CPU'} // 0) > 50 } 'work on the CPU to be seen';
pass('the CPU is an event of its own');
$pg->sql(q{select pg_cancel_backend(pid) from pg_stat_activity where query ~ 'as busy' and pid <> pg_backend_pid()});
$waiter->result;
is($pg->sql('select count(*) from pgweir.wait_profile where samples <= 0 or wait_ms <= 0 or share < 0 or share > 1.000001'), 0, 'no figure is out of order');
$pg->sql('select pgweir.reset()');
is($pg->sql(q{select count(*) from pgweir.wait_profile where query ~ 'as busy'}), 0, 'a reset forgets');

# parallel workers work on their leader's statement
$pg->sql('create table big as select g from generate_series(1, 300000) g; analyze big');
$waiter->query(q{set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; set max_parallel_workers_per_gather = 2;
	set parallel_leader_participation = off});
eventually {
	$waiter->query('select count(*) as of_workers from big a where sqrt(a.g) + sqrt(a.g + 1) + sqrt(a.g + 2) > 0');
	(events('of_workers')->{'CPU CPU'} // 0) > 0
} 'the work of parallel workers to be seen';
pass("a parallel worker's work is its leader's statement's");
is($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ 'of_workers' and toplevel and query !~ 'slow_queries'}), 1, 'and it is counted once');

# --- pace ---

$pg->sql(q{alter system set pgweir.sample_interval = '400ms'});
$pg->reload;
eventually { $pg->sql('select interval_ms from pgweir.sampler()') == 400 } 'the new interval';
pass('the interval can be changed while it runs');
$pg->sql('alter system reset pgweir.sample_interval');
$pg->reload;
eventually { $pg->sql('select interval_ms from pgweir.sampler()') < 400 } 'the old interval';

# --- told to go, it comes back; after a crash, too ---

my $old = sampler();
kill 'TERM', $old;
eventually { my $pid = sampler(); $pid && $pid != $old } 'the sampler to come back';
pass('told to go, it is started again');
my $victim = $pg->psql_session;
kill 'KILL', $victim->query('select pg_backend_pid()');
eventually { my $pid = eval { sampler() }; $pid && $pid != $old } 'the server and its sampler to come back';
pass('after the crash of a backend it is there again');
is($pg->sql(q{select 'alive'}), 'alive', 'and the server answers');
$pg->restart;
eventually { sampler() } 'the sampler after a restart';
pass('also after a restart');

# --- nothing to connect to while it recovers: a standby in recovery has it ---

$pg->stop;
PgweirTest::write_file("$pg->{data}/standby.signal", '');
$pg->start;
is($pg->sql('select pg_is_in_recovery()'), 't', 'a standby');
eventually { sampler() } 'the sampler on a standby';
ok(eventually { $pg->sql('select pg_sleep(0.2) as on_a_standby'); (events('on_a_standby')->{'Timeout PgSleep'} // 0) > 0 }, 'samples there, too');
unlike($pg->log, qr/PANIC|TRAP|pgweir.*ERROR/, 'no complaint in the log');
done_testing;
