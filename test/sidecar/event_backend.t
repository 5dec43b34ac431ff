# event_backend: the same traffic by epoll and by io_uring, who changes from one to the other within a loop, and what happens where io_uring is refused.
use PgweirTest;
use IO::Socket::INET;
use POSIX ();

my $pg = server(preload => '');
my $dir = PgweirTest::new_dir('e');

sub backend
{
	my ($w) = @_;
	my ($metric) = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$w->{settings}{http_listen}") // die "http: $!";

	print $metric "GET /metrics HTTP/1.0\r\n\r\n";
	my ($name) = join('', <$metric>) =~ /^pgweir_build_info\{.*backend="(\w+)"/m;
	return $name;
}

sub version { return (PgweirTest::run_program([@_, PgweirTest::Sidecar::program(), '--version']))[1]; }

sub small { my ($c, $n) = @_; return join '', map { $c->value("select $_") } 1 .. $n // 8; }

# A program that runs another which the kernel refuses a system call to, as containers do: its number (the same on all machines), the errno.
write_file("$dir/refuse", <<'PERL', 0755);
my ($prctl) = (POSIX::uname())[4] =~ /x86_64/ ? 157 : 167;
my $filter = pack 'SCCL' x 4, 0x20, 0, 0, 0, 0x15, 0, 1, shift, 0x06, 0, 0, 0x50000 | shift, 0x06, 0, 0, 0x7fff0000;
my $program = pack 'S x![8] P', 4, $filter;
use POSIX ();
syscall($prctl, 38, 1, 0, 0, 0) == 0 && syscall($prctl, 22, 2, $program) == 0 or die "prctl: $!\n";
exec @ARGV;
PERL

# --- where it is refused ---

my %auto = (event_backend => 'auto', http_listen => free_port());
my $w;

sub refused
{
	my ($what, $reason, @under) = @_;

	$w = sidecar($pg, settings => \%auto, under => \@under);
	is(backend($w), 'epoll', "auto uses epoll where $what");
	my @lines = grep { /io_uring/ } split /\n/, slurp($w->{log});
	is(scalar @lines, 1, '... and says so once');
	like($lines[0], qr/LOG event_backend = auto: using epoll, io_uring is refused: \Q$reason\E/, '... with the reason');
	is($w->wire->value('select 1'), 1, '... and serves');
	$w->end;
	like(version(@under), qr/^event loops: io_uring \(liburing \d[\d.]*\), epoll; auto takes epoll here, io_uring is refused: \Q$reason\E/m, '... as the version tells');
	$w = sidecar($pg, settings => {event_backend => 'io_uring'}, under => \@under, start => 0);
	my ($code, $said) = $w->start_fails;
	is($code, 1, '... io_uring that is refused does not start');
	like($said, qr/event_backend = io_uring: io_uring is refused: \Q$reason\E/, '... for this reason');
	return;
}

refused('it is not permitted', 'io_uring_setup: not permitted', 'perl', "$dir/refuse", 425, POSIX::EPERM);
refused('memory may not be locked', 'io_uring_setup: not enough memory may be locked', 'perl', "$dir/refuse", 425, POSIX::ENOMEM);
refused('descriptors have run out', 'io_uring_setup: Too many open files', 'perl', "$dir/refuse", 425, POSIX::EMFILE);

# Which ones can be tried here?
$w = sidecar($pg, settings => \%auto);
my $has_uring = backend($w) eq 'io_uring';
$w->end;
diag('io_uring is refused here') unless $has_uring;
like(version(), $has_uring ? qr/^event loops: io_uring \(liburing \d[\d.]*\), epoll; auto takes io_uring here$/m : qr/; auto takes epoll here, io_uring is refused: ./, 'the version tells which one auto takes');
SKIP:
{
	skip 'io_uring is refused here', 17 unless $has_uring;
	refused('its buffers are refused', 'io_uring_register: not enough memory may be locked', 'perl', "$dir/refuse", 427, POSIX::ENOMEM);
	refused('it may be made, but not entered', 'io_uring_enter: not permitted', 'perl', "$dir/refuse", 426, POSIX::EPERM);

	# Kernels that have what is needed count none of it against this limit; one that did would have to be answered as above.
	$w = sidecar($pg, settings => \%auto, under => ['sh', '-c', 'ulimit -l 0 && exec "$@"', 'sh']);
	my @lines = grep { /io_uring/ } split /\n/, slurp($w->{log});
	is(scalar @lines, 1, 'where no memory may be locked it says once which backend it uses');
	like($lines[0], backend($w) eq 'epoll' ? qr/using epoll, io_uring is refused: io_uring_\w+: not enough memory may be locked/ : qr/using io_uring/, '... the one that it uses');
	is($w->wire->value('select 1'), 1, '... and serves');
	$w->end;
}

# --- a ring that breaks ---

SKIP:
{
	skip 'io_uring is refused here, or a sanitizer wants to be loaded first', 8 if !$has_uring || PgweirTest::is_sanitized();
	my $library = PgweirTest::preloaded('break_ring');

	for my $workers (1, 2)
	{
		my $file = "$dir/break$workers";
		$w = sidecar($pg, settings => {event_backend => 'io_uring', worker_threads => $workers, worker_spread => 'even', pidfile => "$dir/pid"}, under => ['env', "BREAK_RING=$file", "LD_PRELOAD=$library"]);
		my @clients = map { $w->wire } 1 .. $workers;

		is(join(' ', map { $_->value('select 1') } @clients), join(' ', (1) x $workers), "threads that serve: $workers");
		write_file($file, '');
		$clients[-1]->send(PgWire::query('select 2'));
		is($w->wait_end, 1, '... when the kernel has lost events the process fails');
		like($w->log, qr/FATAL the event loop(?: of worker 1)? failed: Invalid request descriptor/, '... with the reason');
		ok(!-e "$dir/pid" || $w->log =~ /worker 1 failed/, '... and leaves no pidfile unless another thread than the first has');
	}
}

# --- the same by each ---

sub bulk_in
{
	my ($c, $rows) = @_;

	$c->send(PgWire::query('copy bulk from stdin'));
	$c->next_message;
	$c->send((map { PgWire::copy_data("$_\t" . 'x' x 200 . "\n") } 1 .. $rows), PgWire::copy_done());
	return $c->until_ready->{tags}[0];
}

sub traffic
{
	my ($backend, $workers) = @_;
	my $w = sidecar($pg, settings => {event_backend => $backend, http_listen => free_port(), worker_threads => $workers, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even', default_pool_size => 4, max_client_conn => 1000});
	my ($c, $d, @many) = ($w->wire, $w->wire);
	my $a;

	is(backend($w), $backend, 'the metrics tell which');
	is(small($c, 12), join('', 1 .. 12), 'small queries');
	is(join('', map { $c->send(PgWire::extended("select $_")); $c->until_ready->{rows}[0][0] } 1 .. 12), join('', 1 .. 12), '... in the extended protocol');
	$c->send(PgWire::parse('p', 'select $1::int + 1'), PgWire::sync());
	$c->until_ready;
	$c->send((map { PgWire::bind_message('', 'p', $_) . PgWire::execute() . PgWire::sync() } 1 .. 2000));
	is_deeply([map { $c->until_ready->{rows}[0][0] } 1 .. 2000], [map { $_ + 1 } 1 .. 2000], 'a pipeline of prepared statements');
	is(length $c->value("select repeat('y', 3000000)"), 3_000_000, 'a large value');
	is(small($c), join('', 1 .. 8), '... and small ones again');
	$c->ask('drop table if exists bulk');
	$c->ask('create table bulk(a int, b text)');
	is(bulk_in($c, 20_000), 'COPY 20000', 'COPY in');
	$c->send(PgWire::query('copy bulk to stdout'));
	$a = 0;
	while (my $m = $c->next_message) { $a += $m->{type} eq 'd'; last if $m->{type} eq 'Z'; }
	is($a, 20_000, '... and out');
	is(small($c), join('', 1 .. 8), '... and small ones again');

	# Backpressure: a client that does not read for a while.
	$d->send(PgWire::query("select repeat('z', 1000) from generate_series(1, 50000)"));
	eventually { $pg->sql("select count(*) from pg_stat_activity where query like '%50000%' and wait_event = 'ClientWrite'") eq '1' } 'the server is held up';
	is(small($c), join('', 1 .. 8), 'while one does not read others are served');
	is(scalar @{$d->until_ready->{rows}}, 50_000, '... and it gets everything');

	# A pool that is busy: who waits is paused, with more in what it sends.
	my @busy = map { my $b = $w->wire; small($b); $b->ask('begin'); $b } 1 .. 4;
	$c->send(PgWire::query("select 'waited'"), PgWire::query("select 'too'"));
	$d->send(PgWire::query('select 1'));
	eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 2 } 'two wait';
	$c->send(PgWire::query("select '" . 'l' x 50_000 . "'"));
	$d->disconnect;
	eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'that one is gone is seen while it waits';
	$_->ask('commit') for @busy;
	is(join('', map { length $c->until_ready->{rows}[0][0] } 1 .. 3), '6350000', 'who waited is answered in order');

	$c->send(PgWire::query('select pg_sleep(100)'));
	eventually { $pg->sql(q{select count(*) from pg_stat_activity where state = 'active' and query like '%sleep(100)%' and pid <> pg_backend_pid()}) eq '1' } 'a statement runs';
	$c->cancel;
	is($c->until_ready->{error}{C}, '57014', 'a cancel request');
	is(small($c), join('', 1 .. 8), '... and the session goes on');

	# A server that ends in the middle, and one that says so first.
	$busy[0]->ask('begin');
	my $pid = $busy[0]->value('select pg_backend_pid()');
	$pg->sql("select pg_terminate_backend($pid)");
	$a = $busy[0]->ask('select 1');
	like($a->{error}{C}, qr/^(?:57P01|08P01|08006)$/, 'a client whose server has ended hears of it');
	@many = map { $w->wire } 1 .. 300;
	is(join('', map { small($_, 5) } @many[0 .. 49]), '12345' x 50, 'many clients, some with traffic');
	$_->disconnect for @many[25 .. 299];
	$_->vanish for @many[0 .. 24];
	eventually { my ($sum) = map { $_->{cl_active} + $_->{cl_waiting} } $w->pool('postgres', 'postgres'); $sum <= 6 } 'all that left are gone';
	is(small($c), join('', 1 .. 8), '... and who stayed is served');
	$w->end;
	return;
}

for my $backend ('epoll', $has_uring ? 'io_uring' : ())
{
	subtest "$backend, one worker" => sub { traffic($backend, 1); };
	subtest "$backend, two workers" => sub { traffic($backend, 2); };
	subtest "taking over, $backend" => sub {
		my $port = free_port();
		my %settings = (unix_socket_dir => $dir, listen_port => $port, event_backend => $backend);
		my $old = sidecar($pg, port => $port, settings => \%settings);
		my $c = $old->wire;

		small($c);
		$c->ask('begin');
		my $new = sidecar($pg, port => $port, settings => {%settings, event_backend => 'auto'}, args => ['-R'], start => 0);
		$new->{pid} = PgweirTest::spawn([PgweirTest::Sidecar::program(), '-R', $new->{file}], $new->{output});
		$new->wait_log(qr/process up/);
		is(small($c), join('', 1 .. 8), 'a client of the old process goes on');
		is(small(PgWire->connect(port => $port, user => 'postgres', database => 'postgres')), join('', 1 .. 8), 'new ones are the new one\'s');
		$c->disconnect;
		is($old->wait_end, 0, 'the old process ends with its last client');
		$new->end;
	};
}
done_testing;
