# Loaded before or after pg_stat_statements, both count the same.
use lib 'test/lib';
use PgweirTest;

for my $order ('pgweir,pg_stat_statements', 'pg_stat_statements,pgweir')
{
	my $pg = server(preload => $order);

	$pg->sql('create extension pgweir; create extension pg_stat_statements; create table t (a int)');
	$pg->pgbench('-i', '-q');
	$pg->sql('select pgweir.reset(), pg_stat_statements_reset()');
	for my $protocol (qw(simple extended prepared))
	{
		my ($status, undef, $err) = $pg->pgbench('-n', '-M', $protocol, '-c', 2, '-t', 50);
		is($status, 0, "$order: pgbench $protocol runs") or diag $err;
	}
	$pg->sql(q{prepare p as select 1 as of_prepare; execute p; execute p; deallocate p;
		create table u as select g from generate_series(1, 5) g;
		copy u to '/dev/null';
		begin; declare c cursor for select g from u; fetch 2 from c; fetch 2 from c; close c; commit;
		do $$ begin perform 1; end $$;
		explain analyze select g as of_explain from u;
		explain select g as of_explain from u;
		select g from u where g in (1, 2, 3); vacuum u; set work_mem = '1MB'; values (1), (2)});
	my $differ = $pg->rows(q{
		select coalesce(p.query, w.query) as query, p.calls as theirs, w.completed as ours, p.rows as their_rows, w.rows as our_rows
		from pg_stat_statements p
		full join pgweir.slow_queries w using (userid, queryid, toplevel)
		where (p.dbid = (select oid from pg_database where datname = current_database()) or p.dbid is null)
			and (p.calls is distinct from w.completed or p.rows is distinct from w.rows)
			and coalesce(p.query, w.query) !~ 'reset|from pg_stat_statements|^SHOW|^SELECT pg_catalog'});
	is(scalar @$differ, 0, "$order: calls and rows agree") or diag explain $differ;
	cmp_ok($pg->sql('select count(*) from pgweir.slow_queries where calls > 0'), '>', 25, 'over some classes');
	# The shortest of many: between the two readings of a clock the machine may do anything.
	is($pg->sql(q{select count(*) >= 5 and bool_and(w.min_ms between p.min_exec_time / 3 and p.min_exec_time * 3 + 0.01) from pg_stat_statements p
		join pgweir.slow_queries w using (userid, queryid, toplevel) where p.calls >= 100 and p.query ~ '^(SELECT abalance|UPDATE|INSERT)'}), 't', 'times are alike');
	# the texts are the same where constants were
	my $texts = $pg->rows(q{select p.query as theirs, w.query as ours from pg_stat_statements p join pgweir.slow_queries w using (userid, queryid, toplevel)
		where p.query <> w.query and p.query ~ '\$1'});
	is(scalar @$texts, 0, 'texts are the same') or diag explain $texts;
}
done_testing;
