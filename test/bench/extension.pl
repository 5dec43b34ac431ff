#!/usr/bin/perl
# extension.pl: the benchmark behind `make bench-extension`: what counting statements costs, beside pg_stat_statements, in one run and in turn.
#
#   cpu           the server's CPU time per statement for pgbench -S, prepared, in pipelined batches, so that the network does not hide it: many short
#                 rounds, in another order each time; of the differences within a round the median counts
#   instructions  the same as instructions in user mode, counted by callgrind: these do not depend on what else the machine does
#   churn         the tail of `select 1` while another session runs ever new statements, with texts of 0.5 to 4 kB, through a store of 1000.  Each of
#                 the two has a processor for itself, if there are two: else the tail would be that of the scheduler
#   stall         the same with a store of 50000 that is full, as busy servers have it: how long does it stand still when it evicts?
#   read          the time to read the view with 5000 classes, and the CPU time of that
#
#   BENCH_PARTS  some of these (all)      BENCH_ROUNDS  rounds of churn and read (7), times 5 of cpu      BENCH_DISTINCT  statements of churn (50000)
use PgweirTest;
use PgweirTest::Bench qw(cpu_us turned);
use Time::HiRes 'time';

my %part = map { $_ => 1 } split ' ', $ENV{BENCH_PARTS} || 'cpu instructions churn stall read';
my $rounds = $ENV{BENCH_ROUNDS} || 7;
my $distinct = $ENV{BENCH_DISTINCT} || 50000;
my $batch = 50;
my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my @kinds = ('none', 'pg_stat_statements', 'pgweir');
my $processors = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;

$| = 1;

# CPU microseconds of a server's ended backends, which its postmaster has waited for.
sub children_us { my ($pid) = @_; my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr; return ($stat[13] + $stat[14]) * 1e6 / $tick; }

# A statement class for every number: each of 20 bits is the type of a constant.  Long ones have the columns that a mapper of objects writes.
sub statement
{
	my ($n, $long) = @_;
	my @columns = $long ? map { "x as a_column_as_a_mapper_of_objects_names_it_$_" } 1 .. int(8 * 1.0355 ** ($n * 7919 % 64)) : ();

	return 'select ' . join(', ', (map { $n >> $_ & 1 ? '1' : q('a') } 0 .. 19), @columns) . ($long ? ' from (values (1)) as t (x)' : '');
}

sub statements_file
{
	my ($name, $from, $to, $long) = @_;

	write_file("$ENV{PGWEIR_TMP}/$name.sql", join '', map { statement($_, $long) . ";\n" } $from .. $to);
	return "$ENV{PGWEIR_TMP}/$name.sql";
}

sub start
{
	my ($kind, %o) = @_;
	my $preload = $kind eq 'none' ? '' : $kind;
	my $pg = server(%o, preload => $preload, conf => {autovacuum => 'off', max_connections => 20, log_disconnections => 'on', %{$o{conf} // {}}});

	$pg->sql("create extension $preload") if $preload;
	return $pg;
}

sub psql_in_background { my ($pg, $file) = @_; return PgweirTest::spawn(['env', 'PGAPPNAME=churn', 'psql', '-XAtq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-d', 'postgres', '-f', $file], '/dev/null'); }
sub gone { my ($pg, $app) = @_; return $pg->sql("select count(*) from pg_stat_activity where application_name = '$app'") eq '0'; }

# --- CPU per statement ---

my $pipeline = "$ENV{PGWEIR_TMP}/pipeline.sql";
write_file($pipeline, "\\startpipeline\n" . join('', map { "\\set aid random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" } 1 .. $batch) . "\\endpipeline\n");

sub run_pipelines
{
	my ($pg, $n, %o) = @_;
	my ($status, $out, $err) = $pg->pgbench('-n', '-M', 'prepared', '--random-seed=7', '-f', $pipeline, '-c', 1, '-t', $n, {app => 'pgbench', %o});

	die "pgbench failed: $out$err\n" if $status;
	eventually { gone($pg, 'pgbench') };
	return;
}

sub bench_cpu
{
	my $n = 1000;
	my (%server, %us, $sampler);

	for (@kinds)
	{
		$server{$_} = start($_);
		$server{$_}->pgbench('-i', '-q');
	}
	for my $round (0 .. 5 * $rounds)
	{
		for my $kind (turned($round, @kinds))
		{
			my $pg = $server{$kind};
			my $before = children_us($pg->pid);

			run_pipelines($pg, $n);
			# The first round warms up.
			push @{$us{$kind}}, (children_us($pg->pid) - $before) / ($n * $batch) if $round;
		}
	}
	$sampler = $server{pgweir}->rows('select cpu_ms, extract(epoch from clock_timestamp() - started) * 1000 as life from pgweir.sampler()')->[0];
	printf "server CPU us per statement, pgbench -S prepared, pipelines of %d, one client: mean of %d rounds of %d statements, (median of what is added to none)\n",
	  $batch, 5 * $rounds, $n * $batch;
	my %mean = map { my $kind = $_; my $sum = 0; $sum += $_ for @{$us{$kind}}; ($kind => $sum / @{$us{$kind}}) } @kinds;
	for my $kind (@kinds)
	{
		printf "  %-20s %6.3f  (%+.3f)\n", $kind, $mean{$kind}, median(map { $us{$kind}[$_] - $us{none}[$_] } 0 .. $#{$us{none}});
	}
	printf "  ratio of the means %.3f, median of the rounds' ratios %.3f (target <=1.00)\n", $mean{pgweir} / $mean{pg_stat_statements},
	  median(map { $us{pgweir}[$_] / $us{pg_stat_statements}[$_] } 0 .. $#{$us{none}});
	printf "sampler: %.2f %% of a core (target <1)\n", 100 * $sampler->{cpu_ms} / $sampler->{life};
	$_->end for values %server;
	return;
}

# --- instructions per statement ---

# Of the backend that pgbench used last, which has ended.
sub counted
{
	my ($pg, $dir) = @_;
	my $log = $pg->log;
	my @pids = $log =~ /\[(\d+)\] pgbench LOG:  disconnection/g;
	my $count = 0;

	for my $pid (@pids)
	{
		my ($n) = eventually { slurp("$dir/$pid") =~ /^totals: (\d+)/m ? $1 : 0 } 'callgrind';

		$count = $n if $pid == $pids[-1];
	}
	return $count;
}

sub bench_instructions
{
	my ($few, $many) = (20, 80);
	my (%added, %flushing);

	return if system('valgrind --version >/dev/null 2>&1');
	my $filled = start('none');
	$filled->pgbench('-i', '-q');
	$filled->stop;
	for my $kind (@kinds)
	{
		my $dir = PgweirTest::new_dir('i');
		my $pg = start($kind, template => $filled->{data}, under => ['valgrind', '--tool=callgrind', "--callgrind-out-file=$dir/%p", '-q']);
		my $per_statement = sub { my (%o) = @_; my @count = map { run_pipelines($pg, $_, %o); counted($pg, $dir) } $few, $many; return ($count[1] - $count[0]) / (($many - $few) * $batch); };

		$added{$kind} = $per_statement->();
		$flushing{$kind} = $per_statement->(options => '-c pgweir.flush_interval=0') if $kind eq 'pgweir';
		$pg->stop;
	}
	printf "\ninstructions in user mode per statement, of the same load, by callgrind\n";
	printf "  %-20s %6.0f  (%+.0f)\n", $_, $added{$_}, $added{$_} - $added{none} for @kinds;
	printf "  ratio of what is added %.2f (target <=1.00); a merge of a class takes %.0f, as a rule every five seconds\n",
	  ($added{pgweir} - $added{none}) / ($added{pg_stat_statements} - $added{none}), $flushing{pgweir} - $added{pgweir};
	return;
}

# --- churn ---

# The backends of an application, and the process that drives them, on one processor.
sub settle
{
	my ($pg, $app, $driver, $processor) = @_;

	return if $processors < 2;
	my @pids = eventually { $pg->sql("select string_agg(pid::text, ' ') from pg_stat_activity where application_name = '$app'") } "a backend of $app";
	system("taskset -acp $processor $_ >/dev/null") for $driver, split ' ', $pids[0];
	return;
}

# Latencies in us of `select 1` while psql runs a file.
sub latencies_beside
{
	my ($pg, $file) = @_;
	my $dir = PgweirTest::new_dir('l');
	my $one = "$ENV{PGWEIR_TMP}/one.sql";

	write_file($one, "select 1;\n");
	my $select = PgweirTest::spawn(['env', 'PGAPPNAME=one', 'pgbench', '-n', '-f', $one, '-c', 1, '-T', 600, '-l', "--log-prefix=$dir/x",
		'-h', $pg->host, '-p', $pg->port, '-U', 'postgres', 'postgres'], '/dev/null');
	settle($pg, 'one', $select, 1);
	my $churn = psql_in_background($pg, $file);
	settle($pg, 'churn', $churn, 0);
	my $began = time;
	defined PgweirTest::reap($churn, 200) or die "the churn did not end\n";
	my $until = time;
	kill 'TERM', $select;
	PgweirTest::reap($select, 20);
	eventually { gone($pg, 'one') };
	my @took;
	for my $line (map { split /\n/, slurp($_) } glob "$dir/x.*")
	{
		my @column = split ' ', $line;

		next if @column < 6 || $column[4] + $column[5] / 1e6 < $began || $column[4] + $column[5] / 1e6 > $until;
		push @took, $column[2];
	}
	die "no latencies\n" unless @took > 1000;
	return \@took;
}

sub print_tails
{
	my ($title, $tails) = @_;
	my $p99 = sub { my ($kind) = @_; return median(map { $tails->{$kind}[$_]{99} - $tails->{none}[$_]{99} } 0 .. $#{$tails->{none}}); };

	print "\n$title\n";
	printf "  %-20s %7s %7s %7s   %s\n", '', 'p99', 'p99.9', 'longest', 'p99 above none';
	for my $kind (@kinds)
	{
		printf "  %-20s %7.0f %7.0f %7.0f   %+.0f\n", $kind, (map { my $p = $_; median(map { $_->{$p} } @{$tails->{$kind}}) } 99, 99.9, 100), $p99->($kind);
	}
	return;
}

sub bench_tail
{
	my ($title, $max, $filling, $each, $times, %conf) = @_;
	my %conf_of = (none => {}, pg_stat_statements => {'pg_stat_statements.max' => $max}, pgweir => {'pgweir.max_statements' => $max, %conf});
	my %server = map { $_ => start($_, conf => $conf_of{$_}) } @kinds;
	my $next = 0;
	my %tails;

	if ($filling)
	{
		my $file = statements_file('fill', 0, $filling - 1, 1);

		for my $kind (@kinds)
		{
			PgweirTest::reap(psql_in_background($server{$kind}, $file), 200);
		}
		$next = $filling;
	}
	for my $round (1 .. $times)
	{
		my $file = statements_file('churn', $next, $next + $each - 1, 1);

		$next += $each if $filling;
		for my $kind (turned($round, @kinds))
		{
			my $took = latencies_beside($server{$kind}, $file);

			push @{$tails{$kind}}, {map { $_ => percentile($_, @$took) } 99, 99.9, 100};
		}
	}
	print_tails($title, \%tails);
	$_->end for values %server;
	return;
}

# --- reading ---

sub bench_read
{
	my $pg = start('pgweir');
	my $read = 'explain (analyze, timing off) select * from pgweir.slow_queries';
	my $session = $pg->psql_session;
	my $pid = $session->query('select pg_backend_pid()');
	my (@read, @cpu);

	PgweirTest::reap(psql_in_background($pg, statements_file('read', 1, 5200, 0)), 120);
	$session->query($read) for 1 .. 2;
	for (1 .. 3 * $rounds)
	{
		my $before = cpu_us($pid);

		push @read, $session->query($read) =~ /Execution Time: ([\d.]+) ms/;
		push @cpu, (cpu_us($pid) - $before) / 1000;
	}
	printf "\nreading slow_queries with %d classes: median %.1f ms, least %.1f ms (target <20); CPU median %.1f ms\n",
	  $pg->sql('select count(*) from pgweir.slow_queries'), median(@read), percentile(0, @read), median(@cpu);
	$session->quit;
	return;
}

bench_cpu() if $part{cpu};
bench_instructions() if $part{instructions};
bench_tail("us of select 1 while $distinct distinct statements run through a store of 1000, medians of $rounds rounds", 1000, 0, $distinct, $rounds,
	'pgweir.query_size' => 4096) if $part{churn};
bench_tail('us of select 1 while 10000 new statements run through a full store of 50000, medians of 3 rounds', 50000, 50000, 10000, 3) if $part{stall};
bench_read() if $part{read};
