# advisor_safety.pl: asking for advice harms nobody: nothing stays behind, nobody's rights are borrowed, whoever may not ask cannot.
use PgweirTest;
use AdvisorShop;

# What an index saves must be felt in an execution: how long that takes is the machine's affair.
my $pg = AdvisorShop::shop(conf => {'pgweir.advisor_min_saving' => 0});
my $advice = "select ddl from pgweir.advise_statement('select * from orders where customer_id = 5')";
my $explain = "explain (costs off) select * from orders where customer_id = 5;";

$pg->sql('set max_parallel_workers_per_gather = 0; alter system set max_parallel_workers_per_gather = 0; select pg_reload_conf()');

# --- hypothetical indexes are visible to nobody else ---

my $before = $pg->sql($explain);
unlike($before, qr/Index/, 'without the index the table is scanned');
is($pg->sql("select pgweir.whatif_cost('select * from orders where customer_id = 5', '{create index on orders(customer_id)}') < 500; $explain"),
	"t\n$before", 'a plan after a what-if is as before');
is($pg->sql("$advice; $explain"), "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);\n$before",
	'a plan after advice is as before');
is($pg->sql("begin; $advice; $explain commit; $explain"), join("\n", 'CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);', $before, $before),
	'also in the same transaction');

# An error in the planner, when the index is already shown: the immutable function is evaluated during planning.
$pg->sql(<<'SQL');
create function fails(int) returns int language plpgsql immutable as $$ begin raise exception 'planned too far'; end $$;
create function looks_inside() returns int language plpgsql as $$
declare line text; plan text := '';
begin
	for line in execute 'explain (costs off) select * from orders where customer_id = 5' loop plan := plan || line; end loop;
	raise notice 'inside: %', plan;
	-- This one is run for real, while the outer planning has an index that does not exist.
	return (select count(*) from orders where customer_id = 5);
end $$;
create function looks(int) returns int language plpgsql immutable as $$ begin perform looks_inside(); return $1; end $$;
create table probe(t text);
SQL
my ($status, $out, $err) = $pg->psql(
	"\\set ON_ERROR_STOP 0\nselect pgweir.whatif_cost('select * from orders where customer_id = fails(5)', '{create index on orders(customer_id)}');\n$explain");
like($err, qr/planned too far/, 'the error of a what-if reaches the caller');
is($out, $before, 'after an error nothing is left of the index');
($status, $out, $err) = $pg->psql(
	"begin; savepoint s;\n\\set ON_ERROR_STOP 0\nselect pgweir.whatif_cost('select * from orders where customer_id = fails(5)', '{create index on orders(customer_id)}');\nrollback to s;\n$explain commit;");
is($out, $before, 'nor in the same transaction after a savepoint');
($status, $out, $err) = $pg->psql("select pgweir.whatif_cost('select * from orders where customer_id = looks(5)', '{create index on orders(customer_id)}') < 500");
is($out, 't', 'a function that queries the table is planned');
like($err, qr/inside: Seq Scan/, 'what it plans does not see the index') or diag($err);
unlike($err, qr/Index Scan/, 'at no time');
is($pg->sql("do \$\$ begin perform pgweir.advise_statement('select * from no_such_table'); exception when undefined_table then null; end \$\$; select 1; $explain"),
	"1\n$before", 'an error is caught by a block as usual');
is($pg->sql("do \$\$ begin perform pgweir.whatif_cost('select fails(1)'); exception when others then insert into probe values ('caught'); end \$\$; select t from probe"),
	'caught', 'and what the block then writes stays');
like($pg->sql_error("select pgweir.whatif_cost('vacuum')"), qr/0A000.*utility statement/, 'a utility statement is refused');
like($pg->sql_error("select pgweir.whatif_cost('select 1; select 2')"), qr/more than one statement/, 'so are two statements');
like($pg->sql_error("select pgweir.whatif_cost('select 1', '{drop table orders}')"), qr/22023.*not a single CREATE INDEX/, 'and what is not CREATE INDEX');
like($pg->sql_error("select pgweir.whatif_cost('select 1', '{create index on orders(nothing)}')"), qr/42703/, 'and a column that is not there');
is($pg->sql("select pgweir.whatif_cost('select * from orders where id = 5', hide => '{orders_pkey}') > 1000, pgweir.whatif_cost('select * from orders where id = 5') < 20"),
	't|t', 'an existing index can be hidden');

# --- it only reads ---

is($pg->sql("begin read only; $advice; commit"), 'CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);', 'works in a read-only transaction');
is($pg->sql("begin read only; select count(*) from pgweir.index_suggestions; commit") =~ /^\d+$/, 1, 'so does the view');
is($pg->sql("begin; $advice; select count(*) from pg_locks where pid = pg_backend_pid() and relation in ('orders'::regclass, 'customers'::regclass); commit"),
	"CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);\n0", 'no lock outlives the call');
is($pg->sql("begin; $advice; select pg_current_xact_id_if_assigned() is null; commit"), "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);\nt", 'no transaction id is used up');

# --- what was observed ---

$pg->sql('select pgweir.reset()') if $pg->sql("select count(*) from pg_proc where proname = 'reset' and pronamespace = 'pgweir'::regnamespace") > 0;
for my $i (1 .. 30)
{
	$pg->sql("select * from orders where customer_id = $i; update orders set note = note where region = -$i");
}
my $rows = $pg->sql("select ddl, statements, load_pct > 10, gain_pct > 50, cost_after < cost_before, array_length(queryids, 1) from pgweir.index_suggestions where action = 'create' order by 1");
like($rows, qr/ON public\.orders \(customer_id\);\|1\|t\|t\|t\|1/, 'the observed statement gets its index');
like($rows, qr/ON public\.orders \(region\);\|1\|/, 'so does the update');
is($pg->sql("select count(*) from pgweir.slow_queries where query like 'SELECT FROM%' or query like '%customer_id%' and query not like '%orders%'"), '0', 'the advisor counts nothing of its own');
my $classes = $pg->sql('select count(*) from pgweir.slow_queries');
$pg->sql('select count(*) from pgweir.index_suggestions') for 1 .. 3;
cmp_ok($pg->sql('select count(*) from pgweir.slow_queries'), '<=', $classes + 3, 'nor does repeating it');
my $id = $pg->sql("select queryid from pgweir.slow_queries where query like 'select * from orders where customer_id%'");
like($pg->sql("select pgweir.explain_advice($id)"), qr/^Gains by a suggested index/, 'explain_advice says that it gains');
is($pg->sql("select id from pgweir.index_suggestions where ddl like '%(customer_id)%'"), $pg->sql("select id from pgweir.index_suggestions where ddl like '%(customer_id)%'"), 'ids are stable');
$pg->sql('create index on orders(customer_id)');
like($pg->sql("select pgweir.explain_advice($id)"), qr/^(\d+ indexes were tried|No index comes)/, 'after the index is there it says that no more is gained');
unlike($pg->sql("select coalesce(string_agg(ddl, ' '), '') from pgweir.index_suggestions"), qr/\(customer_id\)/, 'and the suggestion is gone');
$pg->sql('drop index orders_customer_id_idx');
like($pg->sql('select pgweir.explain_advice(1)'), qr/No such statement/, 'an unknown statement');

# Statements that cannot be planned any more are passed over.
$pg->sql('create table gone(a int); insert into gone select generate_series(1, 1000); select * from gone where a = 5');
my $gone = $pg->sql("select queryid from pgweir.slow_queries where query like 'select * from gone%'");
$pg->sql('drop table gone');
like($pg->sql("select pgweir.explain_advice($gone)"), qr/Left out: it cannot be planned: relation "gone" does not exist/, 'a dropped table is a reason, not an error');
cmp_ok($pg->sql("select count(*) from pgweir.index_suggestions where action = 'create'"), '>=', 1, 'the others get their advice');
my $locker = $pg->psql_session;
$locker->query('begin; lock table customers in access exclusive mode');
$pg->sql('select 1');
like($pg->sql_error("select * from pgweir.advise_statement('select * from customers where score = 5')"), qr/lock timeout/, 'a locked table is not waited for');
is($pg->sql("select count(*) from pg_locks where relation = 'customers'::regclass and mode = 'AccessExclusiveLock' and granted"), 1, 'not even until it is free');
$locker->query('rollback');

# --- rights ---

$pg->sql(<<'SQL');
create role reader login; create role monitor login; grant pg_read_all_stats to monitor;
create role attacker login; create schema attacks authorization attacker;
SQL
like($pg->sql_error($advice, user => 'reader'), qr/42501/, 'without pg_read_all_stats there is no advice');
like($pg->sql_error('select * from pgweir.index_suggestions', user => 'reader'), qr/42501/, 'nor the view');
like($pg->sql_error("select pgweir.whatif_cost('select 1')", user => 'reader'), qr/42501/, 'nor a what-if');
cmp_ok($pg->sql('select count(*) from pgweir.index_suggestions', user => 'monitor'), '>=', 1, 'with it there is');

# A statement with a function that is evaluated in planning must not run it as whoever asks for advice.
$pg->sql(<<'SQL', user => 'attacker');
create table attacks.seen(who text, at text); grant all on attacks.seen to public; grant usage on schema attacks to public;
-- Without arguments: constants in a statement become parameters in the store, and a call with those is not evaluated early.
create function attacks.bait() returns int language plpgsql immutable as $$
begin
	raise log 'bait taken by %', current_user;
	return 5;
end $$;
create table attacks.big as select i as a, repeat('x', 100) as b from generate_series(1, 20000) i;
analyze attacks.big;
SQL
$pg->sql('alter role attacker set search_path = attacks; select pgweir.reset()');
$pg->sql('select * from big where a = bait()', user => 'attacker') for 1 .. 3;
# Once only: the time that it takes is observed, too.
my $seen = $pg->sql("select coalesce(string_agg(ddl, ' '), '') from pgweir.index_suggestions");
my %takers = map { $_ => 1 } $pg->log =~ /bait taken by (\w+)/g;
is(join(',', sort keys %takers), 'attacker', 'functions in a statement are evaluated as its author');
like($seen, qr/attacks\.big \(a\)/, 'names are resolved with the search_path of the author\'s role');

# --- cancel ---

$pg->sql(<<'SQL');
create function slow(int) returns int language plpgsql immutable as $$ begin perform pg_sleep(3600); return $1; end $$;
SQL
like($pg->sql_error("set statement_timeout = '300ms'; select * from pgweir.advise_statement('select * from orders where customer_id = slow(5)')"), qr/57014/, 'a cancel ends it');
is($pg->sql(q{select count(*) from pg_stat_activity where wait_event = 'PgSleep'}), 0, 'before what it waits for');
is($pg->sql($explain), $before, 'and leaves nothing');

# --- foreign tables are not asked over the network ---

$pg->sql(<<'SQL');
create extension postgres_fdw;
create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', use_remote_estimate 'true');
create user mapping for postgres server far;
create foreign table abroad(a int) server far;
SQL
like($pg->sql_error("select * from pgweir.advise_statement('select * from abroad where a = 5')"), qr/0A000.*it reads a foreign table/, 'a foreign table is left out');

# --- on a standby ---

my $standby = server(start => 0);
system('rm', '-rf', $standby->{data});
$pg->set_hba('host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust');
$pg->reload;
($status, $out, $err) = run_program(['pg_basebackup', '-D', $standby->{data}, '-h', '127.0.0.1', '-p', $pg->port, '-U', 'postgres', '-R', '-c', 'fast', '-X', 'stream']);
is($status, 0, 'a standby is made') or diag($err);
$standby->append_conf({port => $standby->port, unix_socket_directories => $standby->{socket}});
$standby->start;
is($standby->sql('select pg_is_in_recovery()'), 't', 'it is one');
is($standby->sql($advice), 'CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders (customer_id);', 'advice on it');
$standby->sql('select * from orders where customer_id = 5') for 1 .. 3;
like($standby->sql("select string_agg(ddl, ' ') from pgweir.index_suggestions"), qr/ON public\.orders \(customer_id\)/, 'and for what it runs');
is($standby->sql("select ddl from pgweir.advise_statement('update orders set note = null where region = 5')"), 'CREATE INDEX CONCURRENTLY orders_region_idx ON public.orders (region);', 'also for a write');

# --- without shared_preload_libraries ---

my $bare = server(preload => '');
$bare->sql("create extension pgweir; create table t as select i as a, repeat('x', 200) as b from generate_series(1, 20000) i; analyze t");
is($bare->sql("select ddl from pgweir.advise_statement('select * from t where a = 5')"), 'CREATE INDEX CONCURRENTLY t_a_idx ON public.t (a);', 'advice on one statement needs no preloading');
like($bare->sql_error('select * from pgweir.index_suggestions'), qr/shared_preload_libraries/, 'the view says that it does');
done_testing;
