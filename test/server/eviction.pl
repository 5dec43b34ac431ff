# A full table evicts what is of least use, stays bounded, and never shows a statement without its text.
use lib 'test/lib';
use PgweirTest;

my $pg = server(conf => {'pgweir.max_statements' => 100, 'pgweir.max_plans' => 8, log_min_messages => 'panic', max_connections => 20});
$pg->sql('create extension pgweir');
$pg->sql('select pgweir.reset()');
my $capacity = $pg->sql('select capacity from pgweir.info()');
cmp_ok($capacity, '>=', 100, 'the table holds what was asked for');

# Distinct statements: as many columns as the number says.  A hot one between them.
my $distinct = 500;
my $script = join '', map { 'select ' . join(', ', (1) x $_) . ";\nselect true as hot;\n" } 1 .. $distinct;
$pg->sql("set pgweir.flush_interval = 0;\n$script");

my $info = $pg->rows('select * from pgweir.info()')->[0];
cmp_ok($info->{entries}, '<=', $capacity, 'it stays within its size');
cmp_ok($info->{evicted}, '>=', $distinct - $capacity, 'evictions are counted');
is($info->{dropped}, 0, 'nothing was dropped');
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'hot'}), $distinct, 'a hot statement outlives the others, exactly counted');
is($pg->sql(q{select count(*) from pgweir.slow_queries where query is null}), 0, 'every class has its text');

# Places are made free before they are needed, by the sampler
my $room = $capacity - 100;
cmp_ok($room, '>', 0, 'there is room beyond what was asked for');
eventually { $capacity - $pg->sql('select entries from pgweir.info()') >= $room } 'places to be freed ahead';
pass('places are freed ahead of need');
# A class in use keeps its place also when its counts are not merged for long
$pg->sql('select pgweir.reset()');
$pg->sql("set pgweir.flush_interval = '1h';\n$script");
is($pg->sql(q{select calls from pgweir.slow_queries where query ~ 'hot'}), $distinct, 'a hot statement outlives the others without being merged');

# More classes in one session than it keeps deltas for: still all are counted
$pg->sql('select pgweir.reset()');
my $eighty = join '', map { 'select ' . join(', ', (2) x $_) . ";\n" } 1 .. 80;
$pg->sql($eighty x 3);
is($pg->sql(q{select count(*) || ' ' || min(calls) || ' ' || max(calls) from pgweir.slow_queries where query ~ '^select \$1($|,)'}), '80 3 3',
	'a session with more classes than deltas counts all');

# A prepared statement whose class was evicted comes back with its text, its constants still hidden
my $wire = $pg->wire;
$wire->send(PgWire::parse('kept', q{select 'secret' || $1 as of_prepared}), PgWire::bind_message('', 'kept', 'x'), PgWire::execute(), PgWire::sync());
$wire->until_ready;
$pg->sql($script) for 1 .. 2;
is($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ 'of_prepared'}), 0, 'the class of a prepared statement is gone') or
	diag $pg->sql('select * from pgweir.info()');
$wire->send(PgWire::bind_message('', 'kept', 'y'), PgWire::execute(), PgWire::sync());
$wire->until_ready;
like($pg->sql(q{select query from pgweir.slow_queries where query ~ 'of_prepared'}), qr/^select \$\d+ \|\| \$1 as of_prepared$/, 'it comes back with its text, the constant hidden');

# Where plans come and go, the text of one is made when it is executed again
$pg->sql("set pgweir.flush_interval = 0;\n$script; select 'again' as of_plan; select 'again' as of_plan; select pgweir.flush()");
is($pg->sql(q{select bool_and(plan ~ 'Result') from pgweir.plan_history where query ~ 'of_plan'}), 't', 'a plan that is executed again has its text');
is($pg->sql(q{select count(*) from pgweir.plan_history}), 8, 'as many plans as there is place for');

# Texts of a database with another encoding are shown as far as they can be
$pg->sql(q{create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0});
$pg->sql('create extension pgweir', dbname => 'latin');
$pg->sql("select 1 as \"\xc3\xa9t\xc3\xa9\", 2, 3, 4, 5, 6 as \"\xe2\x82\xac rest\"");
my $env = {dbname => 'latin', options => '-c client_encoding=UTF8'};
is($pg->sql(q{select query || ' ' || query_truncated from pgweir.slow_queries where query like 'select $1 as "%'}, %$env),
	"select \$1 as \"\xc3\xa9t\xc3\xa9\", \$2, \$3, \$4, \$5, \$6 as \" true", 'a text with a character that is not in this encoding');
cmp_ok($pg->sql('select count(*) from pgweir.slow_queries', %$env), '>', 1, 'does not keep the others from being shown');

# Churn from several sessions at once
my @pids;
for my $n (1 .. 4)
{
	my $file = "$ENV{PGWEIR_TMP}/churn$n.sql";

	PgweirTest::write_file($file, $script);
	push @pids, PgweirTest::spawn(['psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-f', $file], '/dev/null');
}
$pg->sql('select count(*) from pgweir.slow_queries; select pgweir.reset()') for 1 .. 20;
PgweirTest::reap($_, $PgweirTest::TIMEOUT) for @pids;
$info = $pg->rows('select * from pgweir.info()')->[0];
cmp_ok($info->{entries}, '<=', $capacity, 'still within its size after churn');
is($pg->sql(q{select count(*) from pgweir.slow_queries where total_ms < 0 or calls < 1 or completed < 0 or max_ms < min_ms}), 0, 'no figure is out of order');
unlike($pg->log, qr/PANIC|was terminated by signal|TRAP/, 'no crash');
done_testing;
