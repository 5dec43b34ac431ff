#!/usr/bin/perl
# extension.pl: the benchmark behind `make bench-extension`: what counting statements costs, beside pg_stat_statements, in one run and in turn.
#
# Prints the server's CPU time per statement for pgbench -S, prepared, in pipelined batches, so that the network does not hide it; the p99 of
# `select 1` while another session runs ever new statements through a store of 1000; and the time to read the view with 5000 classes.
#   BENCH_ROUNDS  rounds, of which the median counts (7)     BENCH_SECONDS  of each measurement (2)     BENCH_DISTINCT  statements (50000)
use PgweirTest;
use Time::HiRes 'time';

my $rounds = $ENV{BENCH_ROUNDS} || 7;
my $seconds = $ENV{BENCH_SECONDS} || 2;
my $distinct = $ENV{BENCH_DISTINCT} || 50000;
my $batch = 50;
my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my @kinds = (['none', ''], ['pg_stat_statements', 'pg_stat_statements'], ['pgweir', 'pgweir']);

$| = 1;

# CPU microseconds of a server's ended backends, which its postmaster has waited for.
sub children_us { my ($pid) = @_; my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr; return ($stat[13] + $stat[14]) * 1e6 / $tick; }
sub turned { my ($round, @ends) = @_; push @ends, splice @ends, 0, $round % @ends; return @ends; }

# A statement class for every number: each of 16 bits is the type of a constant.
sub statement { my ($n) = @_; return 'select ' . join(', ', map { $n >> $_ & 1 ? '1' : q('a') } 0 .. 15); }

sub start
{
	my ($preload, %conf) = @_;
	my $pg = server(preload => $preload, conf => {autovacuum => 'off', max_connections => 20, %conf});

	$pg->sql("create extension $preload") if $preload;
	return $pg;
}

# --- CPU per statement ---

my $script = "$ENV{PGWEIR_TMP}/pipeline.sql";
write_file($script, "\\startpipeline\n" . join('', map { "\\set aid random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" } 1 .. $batch) . "\\endpipeline\n");
my (%server, %us);
for (@kinds)
{
	$server{$_->[0]} = start($_->[1]);
	$server{$_->[0]}->pgbench('-i', '-q');
}
for my $round (0 .. $rounds)
{
	for my $kind (turned($round, map { $_->[0] } @kinds))
	{
		my $pg = $server{$kind};
		my $before = children_us($pg->pid);
		my ($status, $out, $err) = $pg->pgbench('-n', '-M', 'prepared', '-f', $script, '-c', 1, '-T', $seconds);
		my ($n) = $out =~ /number of transactions actually processed: (\d+)/;

		die "pgbench failed: $out$err\n" if $status || !$n;
		eventually { $pg->sql(q{select count(*) from pg_stat_activity where application_name = 'pgbench'}) eq '0' };
		# The first round warms up.
		push @{$us{$kind}}, (children_us($pg->pid) - $before) / ($n * $batch) if $round;
	}
}
my $added = sub { my ($kind) = @_; return median(map { $us{$kind}[$_] - $us{none}[$_] } 0 .. $rounds - 1); };
my $ratio = median(map { $us{pgweir}[$_] / $us{pg_stat_statements}[$_] } 0 .. $rounds - 1);
my $sampler = $server{pgweir}->rows('select cpu_ms, extract(epoch from clock_timestamp() - started) * 1000 as life from pgweir.sampler()')->[0];
printf "server CPU us per statement, pgbench -S prepared, pipelines of %d, one client, median of %d rounds of %g s\n", $batch, $rounds, $seconds;
printf "  %-20s %6.3f\n", 'none', median(@{$us{none}});
printf "  %-20s %6.3f  (%+.3f)\n", 'pg_stat_statements', median(@{$us{pg_stat_statements}}), $added->('pg_stat_statements');
printf "  %-20s %6.3f  (%+.3f), ratio %.3f (target <=1.00)\n", 'pgweir', median(@{$us{pgweir}}), $added->('pgweir'), $ratio;
printf "sampler: %.2f %% of a core (target <1)\n", 100 * $sampler->{cpu_ms} / $sampler->{life};
$_->end for values %server;

# --- churn ---

my $churn = "$ENV{PGWEIR_TMP}/churn.sql";
write_file($churn, join '', map { statement($_) . ";\n" } 1 .. $distinct);
my $one = "$ENV{PGWEIR_TMP}/one.sql";
write_file($one, "select 1;\n");
my (%p99, %took);
my %churned = (none => start(''), pg_stat_statements => start('pg_stat_statements', 'pg_stat_statements.max' => 1000), pgweir => start('pgweir', 'pgweir.max_statements' => 1000));
for my $round (1 .. $rounds)
{
	for my $kind (turned($round, sort keys %churned))
	{
		my $pg = $churned{$kind};
		my $began = time;
		my $pid = PgweirTest::spawn(['psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-f', $churn], '/dev/null');
		my $log = PgweirTest::new_dir('l');
		my @log;

		while (!defined PgweirTest::reap($pid, 0))
		{
			my ($status, $out, $err) = $pg->pgbench('-n', '-f', $one, '-c', 1, '-T', 1, '-l', "--log-prefix=$log/x");
			die "pgbench failed: $out$err\n" if $status;
		}
		push @{$took{$kind}}, time - $began;
		push @log, map { (split ' ')[2] } map { split /\n/, slurp($_) } glob "$log/x.*";
		push @{$p99{$kind}}, percentile(99, @log);
	}
}
# Without either module a select has its own 99th percentile, below which nobody gets: what each adds is told, too.
my $added_p99 = sub { my ($kind) = @_; return median(map { $p99{$kind}[$_] - $p99{none}[$_] } 0 .. $rounds - 1); };
printf "\np99 us of select 1 while %d distinct statements run through a store of 1000, median of %d rounds\n", $distinct, $rounds;
printf "  %-20s %6.0f\n", 'none', median(@{$p99{none}});
printf "  %-20s %6.0f  (%+.0f)\n", $_, median(@{$p99{$_}}), $added_p99->($_) for qw(pg_stat_statements pgweir);
printf "  ratio %.2f, of what is added %.2f (target <=0.10)\n", median(@{$p99{pgweir}}) / median(@{$p99{pg_stat_statements}}),
  $added_p99->('pgweir') / ($added_p99->('pg_stat_statements') || 1);
printf "seconds these took: pg_stat_statements %.1f, pgweir %.1f\n", map { median(@{$took{$_}}) } qw(pg_stat_statements pgweir);
$_->end for values %churned;

# --- reading ---

my $pg = start('pgweir');
write_file($churn, join '', map { statement($_) . ";\n" } 1 .. 5200);
PgweirTest::reap(PgweirTest::spawn(['psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-f', $churn], '/dev/null'), 120);
my @read = map { ($pg->sql('explain (analyze, timing off) select * from pgweir.slow_queries') =~ /Execution Time: ([\d.]+) ms/)[0] } 1 .. $rounds;
printf "\nreading slow_queries with %d classes: median %.1f ms, least %.1f ms (target <20)\n", $pg->sql('select count(*) from pgweir.slow_queries'), median(@read), percentile(0, @read);
