#!/usr/bin/perl
# churn.pl: the benchmark behind `make bench-churn`: how long `select 1` takes while other sessions run statements that nobody has run before, through
# a store of 1000: without an extension, with pg_stat_statements, with pgweir, in one run and in turn.
#
# In each round every server gets the same new statements, another part of the 50000, so that in the end each has had all of them.  The cells differ in
#
#   sessions  that churn: 1, 4, 16
#   bytes     of their statements: 120, or as mappers of objects write them 2000
#   select    "own": it has a processor for itself, with its client; sessions that churn, their client and the rest of the server have the other.
#             "daemons": the same, but the server's own processes, the sampler of pgweir among them, are with the select
#             "shared": the system places all of them on all processors as it likes
#   protocol  simple, or extended, without preparing
#
# "added" is the median of what is above the bare server's in the same round.
#
#   BENCH_SESSIONS  BENCH_BYTES  BENCH_SELECT  BENCH_PROTOCOL  values of these instead, separated by blanks
#   BENCH_ROUNDS    (7)      BENCH_DISTINCT  statements in all (50000)
use PgweirTest;
use PgweirTest::Bench qw(cpu_us turned);

my @sessions = split ' ', $ENV{BENCH_SESSIONS} || '1 4 16';
my @bytes = split ' ', $ENV{BENCH_BYTES} || '120 2000';
my @select = split ' ', $ENV{BENCH_SELECT} || 'own daemons shared';
my @protocol = split ' ', $ENV{BENCH_PROTOCOL} || 'simple extended';
my $rounds = $ENV{BENCH_ROUNDS} || 7;
my $distinct = $ENV{BENCH_DISTINCT} || 50000;
my $processors = () = slurp('/proc/cpuinfo') =~ /^processor\s*:/mg;
my @kinds = ('none', 'pg_stat_statements', 'pgweir');
my %conf_of = (
	none => {},
	pg_stat_statements => {'pg_stat_statements.max' => 1000},
	pgweir => {'pgweir.max_statements' => 1000, 'pgweir.query_size' => 4096});
my %server;

$| = 1;

for my $kind (@kinds)
{
	my $preload = $kind eq 'none' ? '' : $kind;

	$server{$kind} = server(preload => $preload, conf => {autovacuum => 'off', %{$conf_of{$kind}}});
	$server{$kind}->sql("create extension $preload") if $preload;
}

# The server's own processes.
sub all_of { my ($pg) = @_; return $pg->pid, split ' ', $pg->sql(q{select string_agg(pid::text, ' ') from pg_stat_activity where backend_type <> 'client backend'}); }

sub place
{
	my ($processors_of_all) = @_;

	for my $pg (values %server)
	{
		system("taskset -acp $processors_of_all $_ >/dev/null") for all_of($pg);
	}
	return;
}

sub churn
{
	my ($pg, %cell) = @_;
	my $each = int($distinct / $rounds);
	my @cpu = $cell{select} ne 'shared' && $processors > 1 ? ('--select-cpu', 1, '--churn-cpu', 0) : ();
	my @own = grep { $_ != $pg->pid } all_of($pg);
	my $before = 0;
	my $after = 0;
	my ($status, $out, $err);

	$before += cpu_us($_) for @own;
	($status, $out, $err) = run_program([PgweirTest::top() . '/build/churn', '--conninfo', 'user=postgres dbname=postgres host=' . $pg->host . ' port=' . $pg->port,
		'--churners', $cell{sessions}, '--from', $cell{round} * $each, '--statements', $each, '--bytes', $cell{bytes} > 120 ? $cell{bytes} : 0, @cpu,
		$cell{protocol} eq 'extended' ? '--extended' : ()], timeout => 120);
	die "churn failed: $out$err\n" if $status;
	$after += cpu_us($_) for @own;
	my %got = $out =~ /(\w+)=([\d.]+)/g;
	$got{cpu} = $got{backend_us} + ($after - $before) / $got{statements};
	return \%got;
}

sub run_cell
{
	my (%cell) = @_;
	my %got;

	for my $round (0 .. $rounds - 1)
	{
		for my $kind (turned($round, @kinds))
		{
			push @{$got{$kind}}, churn($server{$kind}, %cell, round => $round);
		}
	}
	for my $kind (@kinds)
	{
		my $of = sub { my ($what) = @_; return median(map { $_->{$what} } @{$got{$kind}}); };
		my $added = sub { my ($what) = @_; return median(map { $got{$kind}[$_]{$what} - $got{none}[$_]{$what} } 0 .. $rounds - 1); };
		my ($worst) = sort { $b <=> $a } map { $_->{longest} } @{$got{$kind}};

		printf "%8d %5d  %-7s %-8s  %-18s %6.0f %7.0f %8.0f %8.0f %8.0f  %+7.0f %+8.0f  %6.1f %7.0f\n", @cell{qw(sessions bytes select protocol)}, $kind,
		  $of->('p50'), $of->('p99'), $of->('p999'), $of->('longest'), $worst, $added->('p99'), $added->('p999'), $of->('cpu'), $of->('statements') / $of->('seconds');
	}
	return;
}

printf "us of select 1 while %d distinct statements run through a store of 1000: medians of %d rounds in turn, \"worst\" the longest of all; CPU us of the\n", $distinct, $rounds;
print "server per statement of the churn, and these per second\n";
printf "%8s %5s  %-7s %-8s  %-18s %6s %7s %8s %8s %8s  %7s %8s  %6s %7s\n", qw(sessions bytes select protocol server p50 p99 p99.9 longest worst +p99 +p99.9 CPU /s);
for my $select (@select)
{
	place($processors == 1 || $select eq 'shared' ? '0-' . ($processors - 1) : $select eq 'own' ? 0 : 1);
	for my $protocol (@protocol)
	{
		for my $bytes (@bytes)
		{
			run_cell(sessions => $_, bytes => $bytes, select => $select, protocol => $protocol) for @sessions;
		}
	}
}
$_->end for values %server;
