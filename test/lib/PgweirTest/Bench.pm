# Bench.pm: what the benchmarks share: the endpoints that are compared, and what a process costs.
#
#   my %end = endpoints($pg, settings => {default_pool_size => 10});      # {peer => PgBouncer, relay => ..., pgweir => ...}
#   my $run = run_pgbench($end{peer}, protocol => 'simple', clients => 20, seconds => 2);      # {tps, n, latency, cpu_us per transaction}
#   print spread(map { $ours[$_] / $theirs[$_] } 0 .. $#ours);            # "0.84 (0.81-0.87)"
#
# `cpu_us` is the CPU time of an endpoint's own process, user and kernel.  Compare rounds with themselves: what disturbs one disturbs all of it.
package PgweirTest::Bench;

use strict;
use warnings;
use Exporter 'import';
use IPC::Open2 ();
use POSIX ();
use PgweirTest;
use PgweirTest::Bouncer;
use PgweirTest::Relay;

our @EXPORT = qw(endpoints peer relay cpu_us cpu_parts_us resident run_pgbench spread turned progress system_calls instructions fill crowd rss_mb peak_mb peak_reset);

my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# --- endpoints ---

sub peer { my ($pg, %settings) = @_; return PgweirTest::Bouncer->new($pg, %settings); }
sub relay { my ($pg, %o) = @_; return PgweirTest::Relay->new($pg, %o); }

sub endpoints
{
	my ($pg, %o) = @_;
	my %settings = (pool_mode => 'transaction', max_client_conn => 1000, %{$o{settings} // {}});

	return (peer => peer($pg, %settings), relay => relay($pg), pgweir => sidecar($pg, settings => \%settings));
}

# The tables that pgbench reads.
sub fill
{
	my ($pg, $scale) = @_;
	my ($status, $out, $err) = $pg->pgbench('-i', '-q', '-s', $scale // 5);

	die "pgbench -i failed: $err\n" if $status;
	return;
}

# --- what a process costs ---

# CPU microseconds a process has used, all threads; exact where the kernel tells, else in ticks.
sub cpu_us
{
	my ($pid) = @_;
	my $ns = 0;
	my ($user, $system);

	$ns += (split ' ', slurp($_))[0] // 0 for glob "/proc/$pid/task/*/schedstat";
	return $ns / 1000 if $ns > 0;
	($user, $system) = cpu_parts_us($pid);
	return $user + $system;
}

# The same in ticks, in user mode and in the kernel.
sub cpu_parts_us { my ($pid) = @_; my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr; return map { $_ * 1e6 / $tick } @stat[11, 12]; }

# Resident bytes, the shared pages by their share where the kernel tells.
sub resident { my ($pid) = @_; return 1024 * ((slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s+(\d+)/m)[0] // (slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m)[0]); }

# Megabytes resident now, and the most since the start or the last peak_reset().
sub rss_mb { my ($pid) = @_; return (slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m)[0] / 1024; }
sub peak_mb { my ($pid) = @_; return (slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m)[0] / 1024; }
sub peak_reset { my ($pid) = @_; open my $file, '>', "/proc/$pid/clear_refs" or return; print {$file} 5; close $file; return; }

# --- load ---

# Clients by the thousand, by test/bench/crowd.c, which test/bench/bench builds (a test builds its own: $crowd_program): my $crowd = crowd($to); $crowd->('more 10000')->{seconds}; they end with `undef $crowd`.
our $crowd_program = PgweirTest::top() . '/build/crowd';
sub crowd
{
	my ($to, @arguments) = @_;
	my $pid = IPC::Open2::open2(my $out, my $in, $crowd_program, $to->{port}, @arguments);
	my $end = bless {pid => $pid, in => $in, out => $out}, 'PgweirTest::Bench::Crowd';

	$in->autoflush(1);
	return sub {
		my ($command) = @_;

		print {$end->{in}} "$command\n";
		my $line = readline($end->{out}) // die "the crowd is gone ($command)\n";
		return {$line =~ /(\w+)=(\S+)/g};
	};
}
sub PgweirTest::Bench::Crowd::DESTROY { my ($self) = @_; close $self->{in}; waitpid $self->{pid}, 0; return; }

# One run of pgbench -S: {tps, n, latency in ms, cpu_us per transaction of the process $to->{pid}}; dies when a transaction failed.  With `rate`
# transactions are begun so many a second, not as fast as they go; with `each` there is also `us`: the latency of each, in microseconds.
sub run_pgbench
{
	my ($to, %o) = @_;
	my $clients = $o{clients} // 1;
	my @length = $o{transactions} ? ('-t', $o{transactions}) : ('-T', $o{seconds});
	my $log = $o{each} ? PgweirTest::new_dir('l') : undef;

	push @length, '-R', $o{rate} if $o{rate};
	push @length, '-l', "--log-prefix=$log/each" if $log;
	my $before = $to->{pid} ? cpu_us($to->{pid}) : 0;
	my ($status, $out, $err) = $to->pgbench('-n', $o{file} ? ('-f', $o{file}) : '-S', '-M', $o{protocol} // 'simple', '-c', $clients, '-j', $clients > 1 ? 2 : 1, @length);
	my $after = $to->{pid} ? cpu_us($to->{pid}) : 0;
	my ($n) = $out =~ /number of transactions actually processed: (\d+)/;
	my ($tps) = $out =~ /^tps = ([\d.]+)/m;
	my ($latency) = $out =~ /^latency average = ([\d.]+)/m;

	die "pgbench failed: $out$err\n" if $status || !$n || $out =~ /failed transactions: [1-9]/;
	return {tps => $tps, n => $n, latency => $latency, cpu_us => ($after - $before) / $n, $log ? (us => [map { (split ' ')[2] } map { split /\n/, slurp($_) } glob "$log/each*"]) : ()};
}

# --- figures ---

# The endpoints in another order each round.
sub turned { my ($round, @ends) = @_; push @ends, splice @ends, 0, $round % @ends; return @ends; }
# What is being done, for who waits: on stderr, with the seconds since the start.
sub progress { printf STDERR "%5d s  %s\n", time - $^T, $_[0]; return; }

# Median and extremes of ratios.
sub spread { my @sorted = sort { $a <=> $b } @_; return @sorted ? sprintf '%.2f (%.2f-%.2f)', median(@sorted), @sorted[0, -1] : '-'; }

# --- counting ---

# System calls per transaction while pgbench runs: {name => count}, `all` is their sum.  Dies where strace may not look.  run: a function to be
# called in pgbench's place, with the endpoint and how many of its things to do.
sub system_calls
{
	my ($to, %o) = @_;
	my $file = PgweirTest::new_dir('c') . '/strace';
	my $pid = PgweirTest::spawn(['strace', '-f', '-c', '-o', $file, '-p', $to->{pid}], "$file.out");
	my (%calls, $run);

	eventually { slurp("/proc/$to->{pid}/status") =~ /^TracerPid:\s+[1-9]/m } 'strace';
	if ($o{run}) { $o{run}->($to, $o{count}); $run = {n => $o{count}}; }
	else { $run = run_pgbench($to, %o); }
	kill 'INT', $pid;
	PgweirTest::reap($pid, 20);
	for (split /\n/, slurp($file))
	{
		my @column = split;

		$calls{$column[-1]} = $column[3] / $run->{n} if @column >= 5 && $column[3] =~ /^\d+$/ && $column[-1] ne 'total';
	}
	$calls{all} += $_ for values %calls;
	return \%calls;
}

# Calls to allocate memory in what callgrind wrote.
sub allocations_in
{
	my ($text) = @_;
	my (%name, $called);
	my $sum = 0;

	for (split /\n/, $text)
	{
		$name{$1} = $2 if /^c?fn=\((\d+)\) (.*)/;
		$called = $name{$1} if /^cfn=\((\d+)\)/;
		$sum += $1 if ($called // '') =~ /^(?:malloc|calloc|realloc|posix_memalign|aligned_alloc)$/ && /^calls=(\d+)/;
	}
	return $sum;
}

# Instructions in user mode per transaction, and how often memory is allocated, counted by callgrind: make->('valgrind', ...) starts the endpoint
# under that command.  What starting and logging in cost is in both of two runs, and cancels out.  keep: where to leave what callgrind wrote of
# the longer run, and of the shorter one with .few behind the name.  run: as for system_calls, with so many of its things as `count` holds, a
# short and a long run's.
sub instructions
{
	my ($make, %o) = @_;
	my ($few, $many) = @{$o{count} // [50, 550]};
	my $dir = PgweirTest::new_dir('i');
	my (%count, %allocations);

	for my $transactions ($few, $many)
	{
		my $file = !$o{keep} ? "$dir/$transactions" : $transactions == $many ? $o{keep} : "$o{keep}.few";
		my $to = $make->('valgrind', '--tool=callgrind', "--callgrind-out-file=$file", '-q');

		$o{run} ? $o{run}->($to, $transactions) : run_pgbench($to, %o, transactions => $transactions);
		kill $to->isa('PgweirTest::Sidecar') ? 'QUIT' : 'TERM', $to->{pid};
		PgweirTest::reap($to->{pid}, 30) // die "callgrind did not end\n";
		$to->{pid} = 0;
		($count{$transactions}) = slurp($file) =~ /^(?:totals|summary): (\d+)/m or die "callgrind wrote nothing\n";
		$allocations{$transactions} = allocations_in(slurp($file));
	}
	my ($instructions, $allocations) = map { ($_->{$many} - $_->{$few}) / (($many - $few) * ($o{run} ? 1 : $o{clients} // 1)) } \(%count, %allocations);

	return wantarray ? ($instructions, $allocations) : $instructions;
}

1;
