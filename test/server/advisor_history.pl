# advisor_history.pl: advice is kept while it holds and made anew when it does not; what became of suggestions is followed up.
use PgweirTest;
use AdvisorShop;

# What an index saves must be felt in an execution: how long that takes is the machine's affair.
my $pg = AdvisorShop::shop(conf => {'pgweir.advisor_min_saving' => 0, max_parallel_workers_per_gather => 0});

sub run { my ($count, @statements) = @_; $pg->sql(join(";\n", map { ($_) x $count } @statements), args => ['-o', '/dev/null']); return; }
# What is read is not counted, lest the time of a BEGIN that the machine held up be a change of the workload.
my @uncounted = (options => '-c pgweir.track=none');
sub suggested { my ($set) = @_; return $pg->sql(($set // '') . "select coalesce(string_agg(regexp_replace(rtrim(ddl, ';'), '^.* ON public\\.', ''), ' + ' order by ddl), '') from pgweir.index_suggestions where action = 'create'", @uncounted); }
sub computed_at { return $pg->sql('select max(computed_at) from pgweir.index_suggestions', @uncounted); }

# --- the rank test ---

# Against all pairs, one by one.
my $pairs = $pg->sql(<<'SQL');
with h(a, b) as (values ('{3,0,5,2}'::bigint[], '{1,4,1,0,2}'::bigint[])),
	x as (select i, n from h, unnest(a) with ordinality u(n, i)), y as (select i, n from h, unnest(b) with ordinality u(n, i))
select round((sum(x.n * y.n * case when y.i < x.i then 1 when y.i = x.i then 0.5 else 0 end) / sum(x.n * y.n))::numeric, 6),
	(select round(faster::numeric, 6) from h, pgweir.rank_test(a, b)) from x, y
SQL
is((split /\|/, $pairs)[0], (split /\|/, $pairs)[1], 'the chance to be faster is that of all pairs');
# By hand for {1,1,2,3,3,3,4,5} and {1,1,1,2,2,2,3}: U = 41, z = 1.561 with ties corrected.
is($pg->sql("select round(p::numeric, 3) from pgweir.rank_test('{0,2,1,3,1,1}', '{0,3,3,1}')"), '0.118', 'and p that of the normal distribution, ties corrected');
is($pg->sql("select round(p::numeric, 2), faster from pgweir.rank_test('{5,5}', '{5,5}')"), '1.00|0.5', 'no difference');
is($pg->sql("select count(*) from pgweir.rank_test('{}', '{5}')"), '0', 'nothing to compare');
cmp_ok($pg->sql("select p from pgweir.rank_test('{0,0,0,100}', '{100}')"), '<', 1e-9, 'all faster');

# --- kept advice ---

$pg->sql('select pgweir.reset()');
run(30, 'select * from orders where customer_id = 5', 'select * from orders where region = 7');
is(suggested(), 'orders (customer_id) + orders (region)', 'advice');
suggested();
my $at = computed_at();
is(computed_at(), $at, 'is kept');
is($pg->sql("begin read only; select count(*) from pgweir.index_suggestions where computed_at = '$at'; commit", @uncounted), '2', 'and read in a read-only transaction');
is($pg->sql("begin; select count(*) from pgweir.index_suggestions; select pg_current_xact_id_if_assigned() is null; commit", @uncounted), "2\nt", 'without a transaction id');
is($pg->sql("set pgweir.advisor_max_indexes = 1; select count(*) from pgweir.index_suggestions", @uncounted), '1', 'a setting of the session counts');
is(computed_at(), $at, 'and changes nothing for others');
is($pg->sql("select count(*) from pgweir.advise(max_indexes => 1)", @uncounted), '1', 'so do limits given to advise()');
is($pg->sql("show pgweir.advisor_max_indexes", @uncounted), '10', 'which stay there');
is(computed_at(), $at, 'and are kept from others, too');
# Advice is made anew when the workload has become another by a quarter: the machine may have given the first statements any time.
eventually {
	run(30, 'select * from items where product_id = 77');
	$pg->sql("select sum(total_ms) filter (where query ~ 'from items') > 0.5 * sum(total_ms) filter (where query ~ 'from orders') from pgweir.slow_queries where query !~ 'pgweir'", @uncounted) eq 't'
} 'other statements to take their time';
is(suggested(), 'items (product_id) + orders (customer_id) + orders (region)', 'new statements make it new');
isnt(computed_at(), $at, 'at another time');
my $json = $pg->sql("select gaining -> 0 ->> 'queryid' = queryids[1]::text, (gaining -> 0 ->> 'cost_before')::float > 1000, saves_ms_per_hour > 0, losing is null
	from pgweir.index_suggestions where ddl like '%(customer_id)%'");
is($json, 't|t|t|t', 'statements that gain are told, with the time that is saved');
run(40, 'insert into orders(id, customer_id, status, created, region) select max(id) + 1, 5, $$open$$, now(), 7 from orders');
is($pg->sql("select losing -> 0 ? 'entries_per_hour', write_ms_per_hour > 0, (select query ~ '^insert into orders' from pgweir.slow_queries q where q.queryid = (losing -> 0 ->> 'queryid')::bigint)
	from pgweir.advise() where ddl like '%(customer_id)%'"), 't|t|t', 'so are those that write');
$pg->sql("select pgweir.reset(); delete from orders where id > 200000");
$pg->sql("do \$\$ begin perform pg_stat_file('pg_stat/pgweir_advice.' || (select oid from pg_database where datname = current_database()) || '.json'); end \$\$");

# A broken file is as good as none.
my ($file) = glob "$pg->{data}/pg_stat/pgweir_advice.*.json";
ok($file, 'the file is there');
PgweirTest::write_file($file, '{"suggestions": [');
run(30, 'select * from orders where customer_id = 5', 'select * from orders where region = 7');
is(suggested(), 'orders (customer_id) + orders (region)', 'a broken file is passed over');
is(() = glob("$pg->{data}/pg_stat/pgweir_*.tmp"), 0, 'and nothing is left lying about');

# Who may.
$pg->sql('create role reader login; create role monitor login in role pg_read_all_stats');
like($pg->sql_error($_, user => 'reader'), qr/42501/, "a stranger may not: $_") for 'select * from pgweir.index_suggestions', 'select * from pgweir.suggestion_history', 'select * from pgweir.advise()', 'select * from pgweir.advisor_progress';
like($pg->sql_error($_, user => 'monitor'), qr/42501/, "nor may a monitor forge advice: $_") for "select pgweir.set_advisor_document('advice', '{}')", "select pgweir.advisor_document('advice')";
is($pg->sql('select count(*) from pgweir.index_suggestions', user => 'monitor'), '2', 'but read it');
like($pg->sql_error("select pgweir.set_advisor_document('../x', '{}')"), qr/22023/, 'a name is no path');

# --- applied ---

is($pg->sql("select distinct status from pgweir.suggestion_history where ddl ~ '(customer_id|region)'"), 'open', 'suggestions are open at first');
$pg->sql($_) for split /\n/, $pg->sql("select ddl from pgweir.index_suggestions where ddl like '%(customer_id)%'");
unlike(suggested(), qr/customer_id/, 'an index that is there is not suggested');
# However long the machine held up some of them: the more there are, the less do these count.
my $row;
for (1 .. 50)
{
	run(40, 'select * from orders where customer_id = 5');
	$row = $pg->rows("select * from pgweir.suggestion_history where ddl like '%(customer_id)%' and role = 'gains' order by first_suggested desc limit 1")->[0];
	last if $row->{verdict} eq 'improved' && $row->{mean_after_ms} < $row->{mean_before_ms} / 5 && $row->{p95_after_ms} < $row->{p95_before_ms} && $row->{p_value} < 1e-6;
}
is($row->{status}, 'applied', 'it is seen that a suggestion was followed');
is($row->{verdict}, 'improved', 'the statement has improved') or diag(explain($row));
cmp_ok($row->{mean_after_ms}, '<', $row->{mean_before_ms} / 5, 'by much');
cmp_ok($row->{p95_after_ms}, '<', $row->{p95_before_ms}, 'also at the 95th percentile');
cmp_ok($row->{calls_after}, '>=', 40, 'by all executions since');
cmp_ok($row->{p_value}, '<', 1e-6, 'with confidence');
is($row->{index_name}, 'public.orders_customer_id_idx', 'the index is named');
$pg->sql('select pg_sleep(1.1)');
ok(eventually { $pg->sql("select index_scans >= 40 from pgweir.suggestion_history where ddl like '%(customer_id)%' and status = 'applied' limit 1") eq 't' }, 'and that it is used');
diag(sprintf 'measured: mean %.3f ms before, %.3f ms after; p %.1e', @$row{qw(mean_before_ms mean_after_ms p_value)});

# An index that is not used: the statement is run so that the planner cannot.
$pg->sql("create index orders_region_idx on orders (region)");
suggested();
my $unused = "set enable_indexscan = off; set enable_bitmapscan = off;\n" . join(";\n", ('select * from orders where region = 7') x 40);
$pg->sql($unused, args => ['-o', '/dev/null']);
is($pg->sql("select index_scans from pgweir.suggestion_history where ddl like '%(region)%' and status = 'applied'"), '0', 'that an index is not used is seen');
# What is measured depends on what else the machine does; here it is given: as fast before as after.
my $history = q([{"id": "abc", "action": "create", "status": "applied", "ddl": "x", "table_name": "public.orders", "index": "public.orders_region_idx", "applied_at": "2026-01-02",
	"scans": 3, "scans_at_start": 3, "watch": [{"queryid": 7, "role": "gains", "before": {"calls": 50, "ms": 50, "hist": [0, 25, 25]},
	"start": {"calls": 0, "ms": 0, "hist": []}, "now": {"calls": 50, "ms": 50, "hist": [0, 25, 25]}}]}]);
my $suggestions = q([{"id": "abc", "action": "create", "confidence": "high", "reason": "It helps."}]);
is($pg->sql("select verdict from pgweir.outcomes('$history')"), 'no difference', 'an index that does not help');
like($pg->sql("select pgweir.with_outcomes('[]', '$history') #>> '{0,ddl}'"), qr/^DROP INDEX CONCURRENTLY public.orders_region_idx;$/, 'is to be dropped');
like($pg->sql("select pgweir.with_outcomes('[]', '$history') #>> '{0,reason}'"), qr/2026-01-02.*did not help.*no statement has used it.*rank test/, 'which is explained');
is($pg->sql("select count(*) from jsonb_populate_recordset(null::pgweir.suggestion, pgweir.with_outcomes('[]', '$history')) where action = 'drop' and size_bytes > 0 and queryids = '{7}'"), '1', 'as a row of index_suggestions');
is($pg->sql("select pgweir.with_outcomes('[]', replace('$history', '\"ms\": 50, \"hist\": [0, 25, 25]}}', '\"ms\": 5, \"hist\": [50]}}')::jsonb)"), '[]', 'one that helps is not');
is($pg->sql("select pgweir.with_outcomes('[]', replace('$history', '\"calls\": 50', '\"calls\": 15')::jsonb)"), '[]', 'nor one of which little is known');
is($pg->sql("begin; drop index orders_region_idx; create unique index orders_region_idx on orders(region, id); select pgweir.with_outcomes('[]', '$history')"), '[]', 'nor one that enforces something');
like($pg->sql("select pgweir.with_outcomes('$suggestions', replace('$history', 'applied\"', 'removed\"')::jsonb)"), qr/did not help\.", "confidence": "low"/, 'after it was dropped it comes back with doubt only');
$pg->sql('drop index orders_region_idx');
suggested();
is($pg->sql("select string_agg(distinct status, ',' order by status) from pgweir.suggestion_history where ddl like '%(region)%'"), 'open,removed', 'its history says so');

# Statements that got slower are said to have.
my $regressed = $pg->sql(<<'SQL');
select o.verdict, round(o.faster_pct::numeric, 1) from pgweir.outcomes('[{"id": "x", "action": "create", "status": "applied", "ddl": "x", "watch": [{"queryid": 7, "role": "pays",
	"before": {"calls": 50, "ms": 1, "hist": [0, 0, 0, 0, 50]}, "start": {"calls": 10, "ms": 1, "hist": [0, 10]}, "now": {"calls": 60, "ms": 41, "hist": [0, 10, 0, 0, 0, 0, 50]}}]}]') o
SQL
is($regressed, 'regressed|0.0', 'a regression is flagged');

# --- progress, cancel ---

$pg->sql("create function dawdles() returns int language plpgsql immutable as \$\$ begin perform pg_sleep(case current_setting('application_name') when 'advised' then 600 else 0 end); return 5; end \$\$");
run(3, 'select * from orders where customer_id = dawdles()');
my $session = $pg->psql_session(app => 'advised');
$session->start('select count(*) from pgweir.advise()');
# It is held up where statements are read; what is seen before has none yet.
ok(eventually { $pg->sql("select phase, items_total > 0, items_done < items_total, background, datname from pgweir.advisor_progress") eq 'reading statements|t|t|f|postgres' }, 'a run can be watched');
$pg->sql('select pg_cancel_backend(pid) from pgweir.advisor_progress');
like($session->result, qr/57014/, 'and ended at once');
is($pg->sql('select count(*) from pgweir.advisor_progress'), '0', 'after which it is gone');

# --- in the background ---

is($pg->sql("select count(*) from pg_stat_activity where backend_type like 'pgweir advisor%'"), '0', 'nothing runs in the background unless it is wanted');
like($pg->sql_error("set pgweir.advisor_interval = '1s'"), qr/55P02/, 'which is no setting of a session');
$session->quit;
$pg->sql('drop function dawdles() cascade');
$pg->append_conf({'pgweir.advisor_interval' => '1s', max_connections => 25});
$pg->restart;
$pg->sql('select pgweir.reset()'); # what was asked for above outlives the restart
run(30, 'select * from customers where score = 7');
is(eventually { $pg->sql("select string_agg(d ->> 'ddl', ' ') from jsonb_array_elements(pgweir.advisor_document('advice') -> 'suggestions') d where d ->> 'ddl' like '%(score)%'") },
	'CREATE INDEX CONCURRENTLY customers_score_idx ON public.customers (score);', 'advice appears by itself');
is($pg->sql("select count(*) from pg_stat_activity where backend_type = 'pgweir advisor launcher'"), '1', 'by a process that stays');
is($pg->sql("select count(*) from pgweir.slow_queries where query like '%pgweir.advise()%'"), '0', 'whose runs are no part of the workload');
$pg->sql("create index on customers (score)");
is(eventually { $pg->sql("select e ->> 'status' from jsonb_array_elements(pgweir.advisor_document('history')) e where e ->> 'ddl' like '%(score)%' and e ->> 'status' = 'applied'") },
	'applied', 'and sees that it is followed');

# It gives way: a run that is held up in a statement's planning is ended when many statements run, none begins while they do, and once they
# have gone it is done after all.
$pg->sql(<<'SQL');
create function waits_when_advised() returns int language plpgsql immutable as $$
begin
	while (select backend_type = 'pgweir advisor' from pg_stat_activity where pid = pg_backend_pid()) and not pg_try_advisory_lock_shared(42) loop
		perform pg_sleep(0.01);
	end loop;
	return 5;
end $$;
select pgweir.reset();
SQL
my $gate = $pg->psql_session;
$gate->query('select pg_advisory_lock(42)');
run(30, 'select * from orders where customer_id = waits_when_advised()', 'select * from orders where region = 7', 'select * from customers where birthday = $$1960-01-01$$');
my $held = eventually { $pg->sql("select p.pid from pgweir.advisor_progress p join pg_stat_activity a using (pid) where p.background and a.wait_event = 'PgSleep'") } 'a run that is held up';
sub cpus { my $n = () = PgweirTest::slurp('/proc/cpuinfo') =~ /^processor/mg; return $n || 1; }
my @busy = map { $pg->psql_session(app => 'busy') } 1 .. 2 * cpus() + 1;
$_->start('select pg_sleep(600)') for @busy;
eventually { $pg->sql("select count(*) from pg_stat_activity where application_name = 'busy' and wait_event = 'PgSleep'") == @busy } 'statements that run';
$pg->sql('select pg_sleep(0.3)'); # a run looks at the others when it has not for 200 ms
is($pg->sql("select count(*) from pg_stat_activity where pid = $held"), '1', 'a run under way goes on');
my $advised = $pg->sql("select pgweir.advisor_document('advice') ->> 'at'");
$gate->query('select pg_advisory_unlock(42)');
eventually { $pg->sql("select count(*) from pg_stat_activity where pid = $held") == 0 } 'the end of the run';
like($pg->log, qr/LOG:  the advisor's run was ended since the server is busy\n.*Beside it \d+ statements run, and \d+ of \d+ connections are in use\./, 'until the server is busy, which is said');
is($pg->sql("select pgweir.advisor_document('advice') ->> 'at'"), $advised, 'nothing is stored of it');
ok(eventually { $pg->log =~ /the advisor's run was not begun since the server is busy/ }, 'and none begins as long as that is so');
$pg->sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'busy'");
ok(eventually { $pg->sql("select pgweir.advisor_document('advice') ->> 'at' > '$advised'") eq 't' }, 'afterwards there are runs again');
like($pg->sql("select string_agg(d ->> 'ddl', ' ') from jsonb_array_elements(pgweir.advisor_document('advice') -> 'suggestions') d"), qr/orders \(region\)/, 'with what was held up');
eventually { $pg->sql("select count(*) from pg_stat_activity where application_name = 'busy'") == 0 } 'the end of the statements';
my @idle = map { $pg->psql_session } 1 .. 23;
ok(eventually { (() = $pg->log =~ /was not begun since the server is busy\n.*2[3-5] of 25 connections/g) > 0 }, 'nor does one begin when connections are scarce');
$_->quit for @idle;
$gate->quit;
$pg->append_conf({'pgweir.advisor_interval' => '0'});
$pg->reload;
unlike($pg->log, qr/PANIC|terminated by signal|pgweir advisor.*exited with exit code [2-9]/, 'without errors');
done_testing;
