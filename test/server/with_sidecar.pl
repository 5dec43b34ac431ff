# The two halves together: what the sidecar reports shows in the views, with real clients, waits and deadlines.
use lib 'test/lib';
use PgweirTest;
use Time::HiRes qw(sleep time);

my $pg = server(conf => {'pgweir.report_expiry' => '1h'});
$pg->sql('create extension pgweir');
$pg->pgbench('-i', '-q');
my $w = sidecar($pg, settings => {default_pool_size => 3, report_interval => '0.2', query_deadline => 600, deadline_grace => 60, report_database => 'postgres', report_user => 'postgres'},
	databases => {postgres => 'dbname=postgres'});

eventually { $pg->sql('select count(*) from pgweir.reporters()') } 'the first report';
pass('the sidecar reports');
like($pg->sql('select version from pgweir.reporters()'), qr/^\d/, 'with its version');
is($pg->sql('select left_out from pgweir.reporters()'), 0, 'nothing is left out');

my ($status, undef, $err) = $w->pgbench('-n', '-S', '-c', 2, '-t', 300);
is($status, 0, 'pgbench through the sidecar') or diag $err;
eventually { $pg->sql('select coalesce(sum(total_queries), 0) from pgweir.pools()') >= 600 } 'the queries to be reported';
is($pg->sql(q{select sum(calls) from pgweir.slow_queries where query ~ '^SELECT abalance'}), 600, 'and the server counted as many');
is($pg->sql(q{select scope || ' ' || size || ' ' || (wait_p95_ms is not null) from pgweir.pool_pressure where scope = 'pool' and database = 'postgres'}),
	'pool 3 true', 'pool_pressure has the pool, with the waits');

# more clients than server connections: who holds them, who waits
my @holders = map { my $s = $w->psql_session(app => "holder$_"); $s->query('begin'); $s } 1 .. 3;
my $waiter = $w->psql_session(app => 'waiter');
$waiter->start('select 1 as waited');
eventually { $pg->sql(q{select count(*) from pgweir.pool_pressure where scope = 'pool' and waiting = 1 and idle_in_transaction = 3}) }
	'the waiter and the holders to show';
like($pg->sql(q{select verdict from pgweir.pool_pressure where scope = 'pool' and waiting = 1}), qr/^exhausted: 1 clients wait for 3 connections/, 'the verdict says so');
is($pg->sql(q{select string_agg(application_name || ' ' || real_client || ' ' || (via is not null), ', ' order by application_name) from pgweir.connections
	where state = 'idle in transaction'}), join(', ', map { "holder$_ 127.0.0.1 true" } 1 .. 3), 'connections shows the real clients');
$_->query('commit') for @holders;
is($waiter->result, 1, 'the waiter is served');

sub cancel_sleep { $pg->sql(q{select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'}); return; }

# a deadline that passes while the statement runs: counted on both sides
my $late = $w->psql_session;
$late->query(q{set pgweir.deadline = '2s'});
$late->start('select pg_sleep(600), 1');
like($late->result, qr/57014.*query deadline/, 'a statement misses its deadline');
is($pg->sql(q{select deadline_missed || ' ' || cancelled from pgweir.slow_queries where query ~ 'pg_sleep'}), '1 0', 'the server counts it as missed');
eventually { $pg->sql(q{select coalesce(sum(expired_running), 0) from pgweir.pools()}) == 1 } 'the sidecar to report it';
pass('so does the sidecar');

# while it runs, the time that is left shows
$late->query(q{set pgweir.deadline = '600s'});
$late->start('select pg_sleep(600), 2');
eventually { $pg->sql(q{select count(*) from pgweir.running_queries where query ~ 'pg_sleep' and client = '127.0.0.1' and deadline_left_ms between 300000 and 600000}) }
	'the time left to show';
pass('running_queries shows the time left');
cancel_sleep();
$late->result;
$late->query(q{set pgweir.deadline = ''});
$late->start('select pg_sleep(600), 3, 3');
eventually { $pg->sql(q{select count(*) from pgweir.running_queries where query ~ 'pg_sleep' and deadline_left_ms between 300000 and 600000}) }
	'the time left of a deadline that only the sidecar knows';
pass('also of a deadline that only the sidecar knows');
cancel_sleep();
$late->result;

# errors that clients are sent
my $c = $w->wire;
$c->ask('select no_such_column') for 1 .. 7;
eventually { $pg->sql(q{select coalesce(sum(recent), 0) from pgweir.pool_errors() where sqlstate = '42703'}) == 7 } 'the errors to be reported';
pass('errors are reported by SQLSTATE');
ok(eventually { $pg->sql('select sum(undefined_errors) from pgweir.timeline()') >= 7 }, 'and the server counts them, too');
ok(eventually { $pg->sql(q{select count(*) from pgweir.peers() where kind = 'client' and rtt_ms > 0}) > 0 }, 'round trips of clients are measured');
is($pg->sql(q{select count(*) from pgweir.diagnosis where verdict = 'not measured'}), 1, 'with a sidecar, all but the balancer can be judged');

# the sidecar goes
$w->stop;
$pg->append_conf({'pgweir.report_expiry' => '1s'});
$pg->reload;
eventually { $pg->sql('select count(*) from pgweir.reporters()') == 0 } 'the silent sidecar to go';
is($pg->sql(q{select count(*) from pgweir.pool_pressure where scope = 'pool'}), 0, 'a sidecar that stopped is no longer shown');
done_testing;
