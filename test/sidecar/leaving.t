# Thousands of clients leave at once, in the middle of transactions and while they wait for a server: the pool serves on, on epoll and on io_uring, with
# two threads and with four, and nothing of them is left.
use PgweirTest;
use PgweirTest::Bench;

my $dir = PgweirTest::new_dir('c');
my ($status, $out, $err) = run_program(['sh', '-c', ($ENV{CC} // 'cc') . " -O1 -D_GNU_SOURCE -o $dir/crowd " . PgweirTest::top() . '/test/bench/crowd.c $(pkg-config --cflags --libs openssl)']);
die "$out$err" if $status;
$PgweirTest::Bench::crowd_program = "$dir/crowd";

my ($files) = slurp('/proc/self/limits') =~ /^Max open files\s+\d+\s+(\d+)/m;
my $many = $files > 2600 ? 2000 : $files - 400;
my $pool = 10;
my $pg = server(preload => '', conf => {max_connections => 60, autovacuum => 'off'});
my %settings = (default_pool_size => $pool, max_client_conn => $many + 100, log_connections => 0, log_disconnections => 0);

sub in_transactions { return $pg->sql(q{select count(*) from pg_stat_activity where query ~ '^begin' and state in ('active', 'idle in transaction')}); }
sub clients { my ($w) = @_; return (grep { $_->{list} eq 'used_clients' } @{$w->console('show lists')})[0]{items}; }

for (['epoll', 2], ['epoll', 4], ['io_uring', 2], ['io_uring', 4])
{
	my ($backend, $workers) = @$_;
	my $w = sidecar($pg, settings => {%settings, event_backend => $backend eq 'epoll' ? 'epoll' : 'auto', worker_threads => $workers, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even'});

	if ($backend eq 'io_uring' && slurp($w->{log}) !~ /LOG using io_uring/)
	{
		diag('io_uring is refused here');
		$w->end;
		next;
	}
	my $stays = $w->wire;
	my $served = 0;

	# First who is in transactions, while the others wait; then at any moment, also while servers are on their way to who has just left.
	for my $round (1 .. 4)
	{
		my $crowd = crowd($w);

		eventually { clients($w) <= 2 } 'there is room for as many' if $round > 1;
		die "logging in failed\n" if $crowd->("more $many")->{failed};
		$crowd->("begin $many");
		eventually { in_transactions() == $pool } 'the transactions' if $round == 1;
		$crowd->("leave $many");
		$served++ for grep { $stays->value("select $_") eq $_ } 1 .. 20;
		undef $crowd;
	}
	is($served, 80, "$backend, $workers threads: whoever stays is served on");
	eventually { in_transactions() == 0 } 'the end of the transactions';
	eventually { clients($w) <= 2 } 'the end of the clients';
	# (the console is one)
	my %row = %{(grep { $_->{database} eq 'postgres' } @{$w->console('show pools')})[0]};
	is("$row{cl_active} $row{cl_waiting} $row{sv_active}", '1 0 0', '... nothing of those who left is left') or diag explain \%row;
	cmp_ok($row{sv_idle} + $row{sv_used} + $row{sv_tested}, '<=', $pool, '... and no server too many');
	$stays->disconnect;
	$w->end;
}

done_testing;
