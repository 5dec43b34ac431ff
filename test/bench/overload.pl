#!/usr/bin/perl
# overload.pl: the benchmark behind `make bench-overload`: what is answered in time when more is asked than the database can serve.
#
# Requests arrive open loop (openloop.c: Poisson, seeded, latency from the time a request was due), PgBouncer and pgweir in turn before the same
# PostgreSQL, both with a pool of 10 in transaction mode.  pgweir's clients send their deadline as a comment; with PgBouncer there is no such thing,
# so an answer counts as good there when it came in time.  Capacity is measured: what 10 connections get out of the server directly.
#   BENCH_SECONDS  of each measurement (8)     BENCH_SEED  (1)
#   BENCH_ONLY     parts, of: sleep mix cpu stall accuracy (all)
use PgweirTest;
use PgweirTest::Bouncer;
use IO::Handle;

my $seconds = $ENV{BENCH_SECONDS} || 8;
my $seed = $ENV{BENCH_SEED} || 1;
my $only = $ENV{BENCH_ONLY} || 'sleep mix cpu stall accuracy';
my $pool = 10;
my $openloop = PgweirTest::top() . '/build/openloop';
my $processors = () = slurp('/proc/cpuinfo') =~ /^processor/mg;
my ($pg, $peer, $ours, $peer_name);

STDOUT->autoflush(1);

sub progress { print STDERR "  $_[0]\n" if -t STDERR; return; }
sub percent { my ($part, $whole) = @_; return $whole > 0 ? sprintf('%.1f %%', 100 * $part / $whole) : '-'; }

# --- generating load ---

sub command
{
	my ($to, %o) = @_;
	my @options = map { ("--$_", $o{$_}) } grep { $_ ne 'series' } sort keys %o;

	push @options, '--series' if $o{series};
	push @options, '--comment' if $to == $ours;
	return [$openloop, '--conninfo', $to->conninfo, '--seed', $seed, @options];
}

# class=... lines of a run: {fast => {offered => ...}, slow => ...}.
sub parse
{
	my ($out) = @_;
	my %class;

	for my $line (split /\n/, $out)
	{
		my %values = $line =~ /(\w+)=(\S+)/g;

		$class{$values{class}} = \%values if $values{class};
	}
	return \%class;
}

sub load_from
{
	my ($to, %o) = @_;
	my ($status, $out, $err) = run_program(command($to, seconds => $seconds, %o), timeout => $seconds * 3 + 60);

	die "openloop failed: $out$err\n" if $status;
	return parse($out);
}

# Statements a second that 10 connections get done, one after another each.
sub capacity
{
	my ($sql) = @_;
	my $file = "$ENV{PGWEIR_TMP}/capacity.sql";

	write_file($file, "$sql;\n", 0644);
	my ($status, $out, $err) = $pg->pgbench('-n', '-f', $file, '-c', $pool, '-j', 2, '-T', 4);
	die "pgbench failed: $out$err\n" if $status || $out !~ /^tps = ([\d.]+)/m;
	return $1;
}

sub endpoints { return ([$peer_name, $peer], ['pgweir', $ours]); }

# --- one kind of statement, more and more of it ---

sub overload_table
{
	my ($title, $sql, $deadline_ms, $factors, $connections) = @_;
	my $capacity = capacity($sql);

	printf "\n%s; capacity %.0f/s, deadline %d ms\n", $title, $capacity, $deadline_ms;
	printf "%-9s %-10s | %9s %12s %12s | %8s %8s %8s %8s | %9s %9s %10s\n", 'offered', 'pooler', 'good/s', 'of capacity', 'of offered', 'refused', 'expired', 'late',
	  'other', 'p50 ms', 'p99 ms', 'refusal ms';
	for my $factor (@$factors)
	{
		for (endpoints())
		{
			my ($name, $to) = @$_;
			progress("$title: ${factor}x, $name");
			my $r = load_from($to, rate => sprintf('%.1f', $capacity * $factor), 'deadline-ms' => $deadline_ms, connections => $connections->($factor), fast => $sql)->{fast};

			printf "%-9s %-10s | %9.1f %12s %12s | %8d %8d %8d %8d | %9.1f %9.1f %10s\n", "${factor}x", $name, $r->{good_per_s}, percent($r->{good_per_s}, $capacity),
			  percent($r->{good}, $r->{offered}), @{$r}{qw(refused expired late)}, $r->{errors} + $r->{no_connection}, @{$r}{qw(good_p50_ms good_p99_ms)},
			  $r->{refused} > 0 ? sprintf('%.1f', $r->{refused_p50_ms}) : '-';
		}
	}
	return;
}

sub bench_sleep
{
	overload_table("statements of 20 ms, $pool connections", 'select pg_sleep(0.02)', 100, [0.9, 1.5, 3, 10], sub { $_[0] > 3 ? 1200 : 600 });
	print "target: at least 95 % of capacity above 1x, at least 99 % of the offered at 0.9x\n";
	return;
}

# Heavy enough for the server, and not the generator on the same processors, to be what is short.
sub bench_cpu
{
	$pg->pgbench('-i', '-q', '-s', 2);
	overload_table("reads of 20,000 rows by index, $processors processors", 'select sum(abalance) from pgbench_accounts where aid between 50000 and 69999', 50, [1, 4], sub { 600 });
	print "the generator and the pooler share the processors with the server, so that part of the capacity is theirs\n";
	return;
}

# --- a few slow ones among many quick ones ---

sub bench_mix
{
	printf "\n95 %% statements of 2 ms (deadline 100 ms) and 5 %% of 2 s (none), 200/s together, $pool connections\n";
	printf "%-10s | %14s %12s %12s | %s\n", 'pooler', 'quick in time', 'p50 ms', 'p99 ms', 'slow: done of offered';
	for (endpoints())
	{
		my ($name, $to) = @$_;
		progress("mix, $name");
		my $r = load_from($to, rate => 200, seconds => $seconds > 15 ? $seconds : 15, 'deadline-ms' => 100, connections => 600, fast => 'select pg_sleep(0.002)',
			slow => 'select pg_sleep(2) as report', 'slow-share' => 0.05);	# another text: classes are told apart by text without literals

		printf "%-10s | %14s %12.1f %12.1f | %d of %d\n", $name, percent($r->{fast}{good}, $r->{fast}{offered}), @{$r->{fast}}{qw(good_p50_ms good_p99_ms)},
		  $r->{slow}{good}, $r->{slow}{offered};
	}
	print "target: at least 95 % of the quick ones in time, and the slow ones still get through\n";
	return;
}

# --- a server that stands still ---

sub stop_server
{
	my @pids = ($pg->pid);

	for my $dir (glob '/proc/[0-9]*')
	{
		my ($parent) = slurp("$dir/stat") =~ /\) \S (\d+)/;
		push @pids, substr($dir, 6) if defined $parent && $parent == $pids[0];
	}
	kill 'STOP', @pids;
	return @pids;
}

# Milliseconds from the end of the stall until the requests of half a second are answered in time to 95 %, and it stays so for that time; undef = not within the run.
sub recovered_after
{
	my ($series, $end_ms) = @_;

	for my $from (grep { $_->{t_ms} >= $end_ms } @$series)
	{
		my @window = grep { $_->{t_ms} >= $from->{t_ms} && $_->{t_ms} < $from->{t_ms} + 500 } @$series;
		my ($offered, $good) = (0, 0);

		next if @window < 5;
		$offered += $_->{offered}, $good += $_->{good} for @window;
		return $from->{t_ms} - $end_ms if $good >= 0.95 * $offered;
	}
	return undef;
}

sub stall
{
	my ($to, $rate) = @_;
	my $output = "$ENV{PGWEIR_TMP}/series";
	my ($end_ms, @pids, @series);

	unlink $output;
	my $pid = PgweirTest::spawn(command($to, rate => $rate, seconds => 16, 'deadline-ms' => 100, connections => 1500, fast => 'select pg_sleep(0.02)', series => 1), $output);
	my $began = eventually { slurp($output) =~ /started/ ? Time::HiRes::time() : 0 } 'the load';
	Time::HiRes::sleep(3);
	@pids = stop_server();
	Time::HiRes::sleep(3);
	kill 'CONT', reverse @pids;
	$end_ms = 1000 * (Time::HiRes::time() - $began);
	die "openloop did not end\n" unless defined PgweirTest::reap($pid, 60);
	for my $line (split /\n/, slurp($output))
	{
		my %values = $line =~ /(\w+)=(\S+)/g;
		push @series, \%values if defined $values{t_ms};
	}
	return recovered_after(\@series, $end_ms);
}

sub bench_stall
{
	my $rate = sprintf '%.0f', 0.8 * capacity('select pg_sleep(0.02)');

	printf "\nevery process of the server stopped for 3 s at %d/s (0.8x), deadline 100 ms: time until 95 %% are answered in time again\n", $rate;
	for (endpoints())
	{
		my ($name, $to) = @$_;
		progress("stall, $name");
		my $ms = stall($to, $rate);

		printf "  %-10s %s\n", $name, defined $ms ? sprintf('%.0f ms', $ms) : 'not within 10 s';
	}
	print "target: pgweir below 1000 ms\n";
	return;
}

# --- how exact deadlines are ---

sub bench_accuracy
{
	print "\ndeadline accuracy: answer's time beyond the deadline, statements that run for ever, deadline 100 ms\n";
	for (['idle', 0], ["loaded ($processors processes that spin)", $processors])
	{
		my ($name, $count) = @$_;
		my @spinning = map { PgweirTest::spawn(['perl', '-e', 'my $end = time + 60; 1 while time < $end'], '/dev/null') } 1 .. $count;
		progress("accuracy, $name");
		my $r = load_from($ours, rate => 40, 'deadline-ms' => 100, connections => 50, fast => 'select pg_sleep(60)')->{fast};

		printf "  %-36s p50 %.2f ms, p99 %.2f ms (%d expired, %d otherwise)\n", $name, @{$r}{qw(over_p50_ms over_p99_ms expired)}, $r->{offered} - $r->{expired};
		kill 'KILL', @spinning;
		PgweirTest::reap($_, 5) for @spinning;
	}
	print "target: p50 below 5 ms on an idle machine\n";
	return;
}

# --- the whole ---

die "pgbouncer is not installed: make deps\n" unless PgweirTest::Bouncer::program();
$peer_name = 'pgb ' . (PgweirTest::Bouncer::version() =~ /^(\d+\.\d+)/)[0];
$pg = server(preload => '', conf => {max_connections => 100, autovacuum => 'off'});
my %common = (pool_mode => 'transaction', max_client_conn => 5000, default_pool_size => $pool, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0);
$peer = PgweirTest::Bouncer->new($pg, %common);
$ours = sidecar($pg, settings => \%common);
print 'pgweir, PgBouncer ', PgweirTest::Bouncer::version(), ', ', `postgres --version` =~ s/^postgres \(PostgreSQL\) /PostgreSQL /r =~ s/\n//r, ", $processors processors, load average ",
  (split ' ', slurp('/proc/loadavg'))[0], ", $seconds s each, seed $seed\n";
bench_sleep() if $only =~ /sleep/;
bench_mix() if $only =~ /mix/;
bench_cpu() if $only =~ /cpu/;
bench_stall() if $only =~ /stall/;
bench_accuracy() if $only =~ /accuracy/;
