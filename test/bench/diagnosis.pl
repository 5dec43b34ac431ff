#!/usr/bin/perl
# diagnosis.pl: how long the question "what is wrong" takes, behind `make bench-diagnosis`.
#
# A server with many classes of statements, all of them run in the last minute, two sidecars with many pools and linked connections
# that report every second, and sessions that go on working.  Asked twice: of a healthy server, and when a statement is the culprit, so that
# its index is looked up too.  Target: pgweir.diagnosis below 50 ms, planning included, on an idle machine.
#   BENCH_CLASSES  (1500)   BENCH_POOLS  (50)   BENCH_ASKS  (40)
use lib 'test/lib';
use PgweirTest;
use Time::HiRes qw(time sleep);

my $classes = $ENV{BENCH_CLASSES} || 1500;
my $pools = $ENV{BENCH_POOLS} || 50;
my $asks = $ENV{BENCH_ASKS} || 40;

my $pg = server(conf => {max_connections => 60, 'pgweir.max_pools' => 2 * $pools, 'pgweir.history_pools' => $pools, 'pgweir.flush_interval' => '200ms'});
$pg->sql('create extension pgweir');
$pg->sql('create table item as select g as id, g % 50000 as sku, repeat(\'x\', 100) as filler from generate_series(1, 200000) g; analyze item');
my $columns = int(sqrt $classes) + 1;
$pg->sql('create table wide (' . join(', ', map { "c$_ integer" } 1 .. $columns) . ')');

# Every class once; a class is a pair of columns.
sub run_classes
{
	my $left = $classes;
	my $sql = '';

	for my $i (1 .. $columns) { for my $j (1 .. $columns) { $sql .= "select c$i, c$j from wide where c$i = $j;\n" if $left-- > 0; } }
	write_file("$ENV{PGWEIR_TMP}/classes.sql", $sql);
	run_program(['psql', '-XAtq', '-f', "$ENV{PGWEIR_TMP}/classes.sql", $pg->conninfo]);
	return;
}

my @sessions = map { $pg->wire } 1 .. 20;
my @pids = map { $_->ask('select pg_backend_pid()'); $_->{pid} // 0 } @sessions;

sub report
{
	my $hist = '[' . join(', ', map { "[$_, 5]" } 20 .. 60) . ']';

	for my $reporter ('one', 'two')
	{
		my $json = join ', ', map {
			qq({"db": "db$_", "user": "app", "mode": "transaction", "size": 10, "sv_active": 2, "sv_idle": 8, "queries": 100, "xacts": 100, "query_us": 100000, "wait_hist": $hist, "run_hist": $hist})
		} map { $reporter eq 'one' ? $_ : $_ + $pools } 1 .. $pools / 2;
		my $linked = join ', ', map { qq({"pid": $_, "db": "db1", "user": "app", "client": "10.0.0.7", "port": 4711, "app": "shop", "state": "active"}) } grep { $_ } @pids;
		my $net = join ', ', map { qq({"addr": "10.0.0.$_", "n": 20, "rtt_us": 300, "segments": 1000}) } 1 .. 8;

		$pg->sql(qq(select pgweir.report('$reporter', 1, '{"clients": 200, "pools": [$json], "linked": [$linked], "net": {"clients": [$net]}}')));
	}
	return;
}

# Milliseconds that psql measures: planning, running and fetching.
sub ask
{
	my ($what, $query) = @_;
	my (@ms, @first);

	for my $i (1 .. $asks)
	{
		report() if $i % 4 == 1;
		my ($status, $out) = run_program(['psql', '-XAtq', '-c', '\timing on', '-c', $query, '-c', $query, $pg->conninfo]);
		my @took = $out =~ /^Time: ([\d.]+) ms/mg;
		push @ms, $took[-1];
		push @first, $took[0];
	}
	printf "%-44s %6.1f ms (p95 %.1f; the first time in a session %.1f)\n", $what, median(@ms), percentile(95, @ms), median(@first);
	return median(@ms);
}

$| = 1;
run_classes();
for (1 .. 12) { report(); $sessions[$_]->ask('select 1'); sleep 1; }
run_classes();
sleep 1;
printf "%s classes, %s of the last minute, %s pools, %s seconds of history\n", split /\|/, $pg->sql(q{select count(*), count(*) filter (where recent_calls > 0),
	(select count(*) from pgweir.pools()), (select count(distinct at) from pgweir.pressure_history) from pgweir.statements(false)});
my $healthy = ask('diagnosis, nothing is wrong', 'select * from pgweir.diagnosis');
if ($ENV{BENCH_EXPLAIN})
{
	my ($status, $out) = run_program(['psql', '-XAtq', '-c', "set track_functions = 'all'", '-c', 'explain (analyze, timing on, summary on) select * from pgweir.signals', '-c', 'select pg_stat_force_next_flush()',
		'-c', 'select funcname, calls, total_time, self_time from pg_stat_user_functions order by self_time desc limit 30', $pg->conninfo]);
	print $out;
}
my $verdicts = $pg->sql('select string_agg(cause || $$ $$ || verdict, $$, $$) from pgweir.diagnosis');
write_file("$ENV{PGWEIR_TMP}/slow.sql", "\\set sku random(0, 49999)\nselect count(*) from item where sku = :sku;\n");
my $load = PgweirTest::spawn(['pgbench', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-n', '-c', 1, '-T', 60, '-f', "$ENV{PGWEIR_TMP}/slow.sql", 'postgres'], "$ENV{PGWEIR_TMP}/load.out");
eventually { report(); $pg->sql(q{select remedy like 'CREATE INDEX%' from pgweir.diagnosis where cause = 4}) eq 't' } 'the index to be named';
my $slow = ask('diagnosis, a statement lacks its index', 'select * from pgweir.diagnosis');
ask('pool_pressure', 'select * from pgweir.pool_pressure');
kill 'TERM', $load;
PgweirTest::reap($load, 5);
print "verdicts of the first: $verdicts\n";
exit($healthy < 50 && $slow < 50 ? 0 : 1);
