# Counts are exact while many clients run, and failures are counted by kind, with those that end the session.
use lib 'test/lib';
use PgweirTest;
use Time::HiRes qw(sleep time);

my $pg = server(conf => {autovacuum => 'off', deadlock_timeout => '50ms', log_min_messages => 'panic'});
$pg->sql('create extension pgweir');
my ($status, $out, $err) = $pg->pgbench('-i', '-q', '-s', '2');
is($status, 0, 'pgbench initialises') or diag $err;

# --- exact under concurrency, by each protocol, merged or not ---

for my $protocol (qw(simple extended prepared))
{
	for my $interval (0, 3600000)
	{
		my ($clients, $each) = (16, 50);
		my $n = $clients * $each;

		$pg->sql('select pgweir.reset()');
		($status, $out, $err) = $pg->pgbench('-n', '-M', $protocol, '-c', $clients, '-j', 2, '-t', $each,
			{options => "-c pgweir.flush_interval=$interval"});
		is($status, 0, "pgbench $protocol runs") or diag $err;
		my $rows = $pg->rows(q{select calls, rows, completed, failed, plans, query from pgweir.slow_queries
			where query ~ '^(UPDATE|INSERT|SELECT abalance|BEGIN|END)'});
		is(scalar @$rows, 7, "$protocol, $interval ms: seven classes");
		is(join(' ', map { "$_->{calls}/$_->{completed}/$_->{failed}" } @$rows), join(' ', ("$n/$n/0") x 7), 'each ran as often as pgbench says');
		is(join(' ', sort map { $_->{rows} } grep { $_->{query} !~ /^(BEGIN|END)/ } @$rows), join(' ', ($n) x 5), 'each gave one row a call');
	}
}

# --- seen while the session goes on and is idle, and not merged ---

$pg->sql('select pgweir.reset()');
my $idle = $pg->psql_session(options => '-c pgweir.flush_interval=3600000');
$idle->query('select 42 as of_an_idle_session') for 1 .. 5;
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'of_an_idle'}), 5, "an idle session's counts are seen");
is($idle->query('select pgweir.flush() > 0'), 't', 'a flush merges');
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'of_an_idle'}), 5, 'nothing is counted twice after it');

# --- what nobody merges is merged for him, by the interval of his session ---

sub unmerged { return $pg->sql('select unmerged from pgweir.info()'); }
$idle->query(q{set pgweir.flush_interval = '1h'}); $idle->query('select 42 as of_an_idle_session') for 1 .. 3;
cmp_ok(unmerged(), '>=', 1, 'a session keeps counts for its flush_interval');
$idle->query(q{set pgweir.flush_interval = '1s'});
$idle->query('select 42 as of_an_idle_session') for 1 .. 2;
eventually { !unmerged() } 'the counts of an idle session to be merged';
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'of_an_idle'}), 10, 'an idle session is merged for, nothing is lost or counted twice');
$idle->query('begin; select 42 as of_an_idle_session');
eventually { !unmerged() } 'the counts of a session that is idle in a transaction to be merged';
$idle->query('rollback; set pgweir.track = \'all\'');
$idle->query('create function pg_temp.long() returns void language plpgsql as $$ begin perform count(*) as of_a_long_one from (values (1)) v; perform pg_sleep(3600); end $$');
my $long = $idle->query('select pg_backend_pid()');
$idle->start('select pg_temp.long()');
eventually { $pg->sql("select wait_event from pg_stat_activity where pid = $long") eq 'PgSleep' && !unmerged() } 'the counts of a long statement to be merged while it runs';
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'of_a_long_one' and not toplevel}), 1, 'so is what a long statement did inside');
$pg->sql("select pg_cancel_backend($long)");
eval { $idle->result };
$idle->query('select 42 as of_an_idle_session');
is($idle->query('select pgweir.flush() > 0'), 't', 'it goes on counting');
is($pg->sql(q{select s.calls || ' ' || p.calls from pgweir.slow_queries s join pgweir.plan_history p using (userid, queryid, toplevel) where s.query ~ 'of_an_idle'}),
	'12 12', 'and what was merged for it is put down to its plan');

# a reading while others count and merge never goes back
$pg->sql('select pgweir.reset()');
my $bench = PgweirTest::spawn(['pgbench', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-n', '-S', '-c', 3, '-T', 3600, 'postgres'], '/dev/null');
my ($last, $back, $readings) = (0, 0, 0);
eventually { $pg->sql(q{select coalesce(sum(calls), 0) from pgweir.slow_queries where query ~ 'SELECT abalance'}) > 0 } 'statements to be counted';
while ($readings < 40)
{
	my $calls = $pg->sql(q{select coalesce(sum(calls), 0) from pgweir.slow_queries where query ~ 'SELECT abalance'});

	$back++ if $calls < $last;
	$last = $calls;
	$readings++;
}
kill 'TERM', $bench;
PgweirTest::reap($bench, $PgweirTest::TIMEOUT);
cmp_ok($last, '>', 0, 'there was something to read');
is($back, 0, 'no reading showed less than the one before');

# --- failures by kind ---

sub failures
{
	my ($pattern) = @_;

	return $pg->rows("select calls, completed, failed, cancelled, statement_timeouts, lock_timeouts, deadline_missed, deadlocks,
		terminated, errors, failed_ms >= 50 as took_50_ms from pgweir.slow_queries where query ~ '$pattern'")->[0] // {};
}

# Statements of n constants each: a class for every n.  Names of columns do not tell classes apart.
sub sleeper { my ($n) = @_; return 'select pg_sleep(3600)' . ', 1' x $n; }
sub sleeper_pattern { my ($n) = @_; return '^select pg_sleep\(\$\d+\)' . '(, \$\d+)' . "{$n}(\$| /)"; }

# Run SQL in a session of its own, call the code on its pid when it runs, and wait for its end.
sub interrupt
{
	my ($sql, $code, %o) = @_;
	my $session = $pg->psql_session(%o);
	my $pid = $session->query('select pg_backend_pid()');

	$session->start($sql);
	eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $pid and state = 'active' and wait_event = 'PgSleep'") } 'the statement to run';
	sleep 0.06;
	$code->($pid);
	return eval { $session->result } // '';
}
sub cancel { $pg->sql("select pg_cancel_backend($_[0])"); return; }
sub terminate { $pg->sql("select pg_terminate_backend($_[0])"); return; }

$pg->sql('select pgweir.reset()');
like(interrupt(sleeper(1), \&cancel), qr/57014/, 'a cancelled statement');
my $f = failures(sleeper_pattern(1));
is("$f->{calls} $f->{cancelled} $f->{failed} $f->{completed} $f->{took_50_ms}", '1 1 1 0 t', 'is counted as cancelled, with its time');

interrupt(sleeper(2), \&cancel, options => '-c pgweir.deadline=100ms');
$f = failures(sleeper_pattern(2));
is("$f->{cancelled} $f->{deadline_missed}", '0 1', 'a cancel while a deadline is in force is a missed deadline');
interrupt(sleeper(3) . q{ /* pgweir_deadline='100ms' */}, \&cancel);
$f = failures(sleeper_pattern(3));
is("$f->{cancelled} $f->{deadline_missed}", '0 1', 'also when a comment asks for it');

interrupt(sleeper(4), \&terminate);
eventually { failures(sleeper_pattern(4))->{terminated} } 'the terminated statement to be counted';
$f = failures(sleeper_pattern(4));
is("$f->{calls} $f->{terminated} $f->{failed} $f->{took_50_ms}", '1 1 1 t', 'a terminated session counts its last statement');
interrupt('do $$ begin perform pg_sleep(3600), 1, 1, 1, 1, 1; end $$', \&terminate, options => '-c pgweir.track=all');
eventually { failures('^do')->{terminated} } 'the terminated block to be counted';
is(failures('^SELECT pg_sleep')->{terminated}, 1, 'and the statement inside of it');

$pg->sql_error(q{set statement_timeout = '60ms'; } . sleeper(6));
$f = failures(sleeper_pattern(6));
is("$f->{statement_timeouts} $f->{cancelled} $f->{took_50_ms}", '1 0 t', 'a statement timeout is told from a cancel');

$pg->sql('create table t (id int primary key, v int); insert into t values (1, 0), (2, 0)');
my $holder = $pg->psql_session;
$holder->query('begin; update t set v = 1 where id = 1');
$pg->sql_error(q{set lock_timeout = '60ms'; update t set v = 2 where id = 1});
$f = failures('update t set v = \$1 where id = \$2');
is("$f->{lock_timeouts} $f->{failed} $f->{completed}", '1 1 1', 'a lock timeout is one, and the other update succeeded');
# blocked: who blocks is shown
my $blocked = $pg->psql_session;
$blocked->start('update t set v = 3 where id = 1');
eventually { $pg->sql(q{select count(*) from pgweir.running_queries where blocked_by <> '{}' and wait_event_type = 'Lock'}) } 'the blocked update to show';
is($pg->sql(q{select blocked_by[1] || ' ' || blocker_state || ' ' || wait_event_type from pgweir.running_queries where blocked_by <> '{}'}),
	$holder->query('select pg_backend_pid()') . ' idle in transaction Lock', 'running_queries names the blocker');
is($pg->sql(q{select concat_ws(' ', lock_waited_for, blocker_idle_in_transaction, blocker_elapsed_ms > 0, blocker_xact_ms >= blocker_elapsed_ms) from pgweir.running_queries where blocked_by <> '{}'}),
	'ShareLock on transactionid t t t', 'the lock, and for how long the blocker has been idle in its transaction');
$holder->query('rollback');
$blocked->result;

my ($one, $two) = ($pg->psql_session, $pg->psql_session);
$_->query('begin') for $one, $two;
$one->query('update t set v = 5 where id = 1');
$two->query('update t set v = 5 where id = 2');
$one->start('update t set v = 6 where id = 2');
eventually { $pg->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock'}) } 'a lock wait';
$two->start('update t set v = 6 where id = 1');
$_->result for $one, $two;
is(failures('update t set v = \$1 where id = \$2')->{deadlocks}, 1, 'a deadlock is one');

# --- a connection that vanishes with its statement ---

$pg->sql('alter system set client_connection_check_interval = 20');
$pg->reload;
my $wire = $pg->wire;
$wire->send(PgWire::query(sleeper(7)));
eventually { $pg->sql(q{select count(*) from pg_stat_activity where wait_event = 'PgSleep'}) } 'the statement to run';
$wire->vanish;
eventually { failures(sleeper_pattern(7))->{terminated} } 'the abandoned statement to be counted';
pass('a statement whose client vanished is counted as terminated');

# --- protocol-level portals that are fetched in parts ---

$pg->sql('select pgweir.reset()');
$wire = $pg->wire;
$wire->send(PgWire::parse('', 'select g, 1 as of_portal from generate_series(1, 100) g'), PgWire::bind_message('', ''), PgWire::execute('', 10),
	PgWire::execute('', 10), PgWire::sync());
my $answer = $wire->until_ready;
is(scalar @{$answer->{rows}}, 20, 'two parts of a portal');
is($pg->sql(q{select calls || ' ' || rows from pgweir.slow_queries where query ~ 'of_portal'}), '1 20', 'are one execution with the rows of both');
# the transaction is aborted while a portal is open
$wire->ask('begin');
$wire->send(PgWire::parse('', 'select g as of_aborted from generate_series(1, 100) g'), PgWire::bind_message('p', ''), PgWire::execute('p', 10), PgWire::sync());
$wire->until_ready;
$wire->ask('select 1/0');
$wire->ask('rollback');
is($pg->sql(q{select calls || ' ' || rows || ' ' || failed from pgweir.slow_queries where query ~ 'of_aborted'}), '1 10 0', 'a portal left by an abort is counted');

is($pg->sql('select dropped from pgweir.info()'), 0, 'nothing was dropped');
unlike($pg->log, qr/PANIC|was terminated by signal|TRAP/, 'no crash');
done_testing;
