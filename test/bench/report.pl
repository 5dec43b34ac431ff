#!/usr/bin/perl
# report.pl: what the sidecar's measuring and reporting costs, behind `make bench-report`.
#
# Clients in pools, most of them idle, as in a service.  The CPU time of the sidecar's process is compared between reporting every
# second and not at all, in rounds that take turns; so is what asking for /metrics costs.  Target: reporting below 0.5 % of a core.
#   BENCH_IDLE   clients (10000)    BENCH_POOLS  pools (50)    BENCH_SECONDS  of each measurement (10)    BENCH_ROUNDS  (3)
use PgweirTest;
use List::Util 'min';
use POSIX ();

my $pools = $ENV{BENCH_POOLS} || 50;
my $seconds = $ENV{BENCH_SECONDS} || 10;
my $rounds = $ENV{BENCH_ROUNDS} || 3;
my $limit = (slurp('/proc/self/limits') =~ /Max open files\s+(\d+)/)[0];
my $clients = min($ENV{BENCH_IDLE} || 10000, $limit - 200);
my $http = free_port;

my $pg = server(conf => {max_connections => 2 * $pools + 30, 'pgweir.max_pools' => 2 * $pools});
$pg->sql('create extension pgweir; create role reporter login superuser');
my $w = sidecar($pg, databases => {map { ("db$_" => 'dbname=postgres') } 1 .. $pools},
	settings => {report_user => 'reporter', report_database => 'db1', report_interval => 0, reporter_name => 'bench', max_client_conn => $clients + 10,
		log_connections => 0, log_disconnections => 0, default_pool_size => 2, http_listen => $http, stats_period => 3600});

$| = 1;
my @clients;
for my $i (1 .. $clients)
{
	push @clients, $w->wire(dbname => 'db' . ($i % $pools + 1), params => {application_name => 'app' . $i % 20});
	print "\r$i clients " if -t STDOUT && $i % 500 == 0;
}
# every pool has something to tell
for my $i (0 .. $pools * 4) { $clients[$i]->ask($_) for 'begin', 'select 1', "select 2 where 'a' = '$i'", 'commit'; }

sub cpu_us { my $ns = 0; $ns += (split ' ', slurp($_))[0] // 0 for glob "/proc/" . $w->pid . '/task/*/schedstat'; return $ns / 1000; }
# CPU microseconds a second while `each` is done; a trickle of requests goes through every pool meanwhile.
sub measure
{
	my ($each) = @_;
	my $start = Time::HiRes::time();
	my $before = cpu_us();
	my $at = 0;

	while (Time::HiRes::time() - $start < $seconds)
	{
		$clients[$at++ % $clients]->ask('select 1') for 1 .. 2;
		$each->() if $each;
		Time::HiRes::sleep(0.02);
	}
	return (cpu_us() - $before) / (Time::HiRes::time() - $start);
}
sub scrape
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http) or die $!;
	my ($n, $got) = (0, '');

	print {$socket} "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	$n += length $got while sysread $socket, $got, 65536;
	return $n;
}
sub median_of { return sprintf '%.0f', median(@_); }

my (@off, @on, @scrape);
my ($bytes, $due);
for my $round (1 .. $rounds)
{
	$w->console('set report_interval = 0');
	push @off, measure();
	$w->console('set report_interval = 1');
	push @on, measure();
	$w->console('set report_interval = 0');
	$due = 0;
	push @scrape, measure(sub { return if Time::HiRes::time() < $due; $due = Time::HiRes::time() + 1; $bytes = scrape(); });
}
$w->console('set report_interval = 1');
my $seen = $pg->sql('select coalesce(max(reports), 0) from pgweir.reporters()');
eventually { $pg->sql('select coalesce(max(reports), 0) from pgweir.reporters()') > $seen } 'a report';
my ($size, $stored) = split /\|/, $pg->sql('select count(*), (select sum(left_out) from pgweir.reporters()) from pgweir.pools()');

my @cost = map { $on[$_] - $off[$_] } 0 .. $#on;
my @scrape_cost = map { $scrape[$_] - $off[$_] } 0 .. $#off;
printf "\r%d clients, %d pools (%d shown, %d left out)\n", scalar @clients, $pools, $size, $stored;
printf "sidecar without reports    %6s us/s\n", median_of(@off);
printf "sidecar with reports       %6s us/s\n", median_of(@on);
printf "reporting                  %6s us/s = %.2f %% of a core (target 0.50)   rounds: %s\n", median_of(@cost), median(@cost) / 10000, join ' ', map { sprintf '%.0f', $_ } @cost;
printf "a request of /metrics      %6s us, %d bytes                          rounds: %s\n", median_of(@scrape_cost), $bytes, join ' ', map { sprintf '%.0f', $_ } @scrape_cost;
exit(median(@cost) < 5000 ? 0 : 1);
