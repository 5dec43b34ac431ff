# The process as an operator and systemd see it: both soft shutdowns, signals, notification, abstract sockets, the console without a password.
use PgweirTest;
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

my $pg = server(preload => '');
my $program = $ENV{PGWEIR_SIDECAR} // PgweirTest::top() . '/sidecar/pgweir';

sub weir { my (%settings) = @_; my $port = free_port(); my $dir = PgweirTest::new_dir('u'); my $w = sidecar($pg, port => $port, settings => {listen_port => $port, unix_socket_dir => $dir, default_pool_size => 1, %settings}); return ($w, "$dir/.s.PGSQL.$port"); }
sub failed { my ($socket, %o) = @_; return (PgWire->connect(socket => $socket, user => 'postgres', may_fail => 1, %o)->{failed} // {M => 'welcome'})->{M}; }
sub tcp_refuses { my ($w) = @_; return eventually { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $w->port) } 'the TCP port to be closed'; }

for (['TERM', 'clients'], ['INT', 'servers'])
{
	my ($signal, $what) = @$_;

	subtest "SIG$signal: wait for $what" => sub {
		my ($w, $socket) = weir();
		my ($busy, $idle, $waiting) = map { $w->wire } 1 .. 3;

		$busy->ask('begin');
		$waiting->send(PgWire::query('select 2'));
		eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'one waits';
		$w->signal($signal);
		ok(tcp_refuses($w), 'TCP is closed at once');
		is(failed($socket), 'pooler is shutting down', 'the Unix socket refuses clients');
		my $admin = PgWire->connect(socket => $socket, user => 'admin', database => 'pgbouncer');
		is($admin->value('show version') =~ /^PgBouncer/ ? 1 : 0, 1, '... but not those of the console');
		is($busy->value('select 1'), 1, 'a transaction goes on');
		kill 'USR2', $w->pid;
		ok($w->wait_log(qr/got SIGUSR2 while shutting down, ignoring/), 'SIGUSR2 does not undo it');
		if ($signal eq 'TERM')
		{
			$busy->ask('commit');
			is($waiting->until_ready->{rows}[0][0], 2, 'who waits is served');
			is($idle->value('select 3'), 3, '... and who is there');
			$_->disconnect for $busy, $waiting;
			ok($w->alive, 'as long as there is a client');
			$idle->disconnect;
		}
		else
		{
			is($waiting->until_ready->{error}{M}, 'server shutting down', 'who waits is told');
			is($idle->ask('select 3')->{error}{M}, 'server shutting down', '... and who asks for a server');
			ok($w->alive, 'as long as a transaction runs');
			$busy->ask('commit');
		}
		is($w->wait_end, 0, 'then it ends with 0');
		my $kind = $what =~ s/s$//r;
		like($w->log, qr/LOG $kind connections dropped, exiting/, '... and logs why');
		ok(!-e $socket, '... without its socket');
	};
	subtest "SIG$signal twice" => sub {
		my ($w) = weir();
		my $c = $w->wire;

		$c->ask('begin');
		$w->signal($signal);
		$w->wait_log(qr/got SIG$signal, shutting down/);
		$w->signal($signal);
		is($w->wait_end, 0, 'ends at once');
		like($w->log, qr/got SIG$signal while shutting down, fast exit/, '... and says so');
	};
}
subtest 'systemd is told' => sub {
	my $path = PgweirTest::new_dir('n') . '/notify';
	my $systemd = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "$path: $!";
	my $heard = sub { my $text = ''; IO::Select->new($systemd)->can_read($PgweirTest::TIMEOUT) or return 'nothing'; $systemd->recv($text, 4096); return $text; };
	local $ENV{NOTIFY_SOCKET} = $path;
	my ($w) = weir();

	is($heard->(), "READY=1\nMAINPID=" . $w->pid, 'when it is up');
	$w->signal('HUP');
	like($heard->(), qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/, 'when it reloads');
	is($heard->(), 'READY=1', '... and when that is done');
	$w->console('reload');
	like($heard->(), qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/, 'by the console, too');
	is($heard->(), 'READY=1', '... with its end');
	write_file($w->{file}, slurp($w->{file}) . "nonsense = 1\n");
	$w->signal('HUP');
	like($heard->() . $heard->(), qr/^RELOADING=1.*READY=1$/s, 'a bad file is a reload that ends as well');
	$w->signal('TERM');
	is($heard->(), 'STOPPING=1', 'when it ends');
	is($w->wait_end, 0, 'it ends');
};
subtest '-R where it cannot be' => sub {
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5, ReuseAddr => 1) or die;
	my $w = sidecar($pg, start => 0);
	my $pid = fork // die;

	if (!$pid)
	{
		$^F = 10;
		POSIX::dup2(fileno $socket, 3);
		open STDOUT, '>>', $w->{output};
		open STDERR, '>>', $w->{output};
		@ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
		exec $program, '-R', $w->{file} or POSIX::_exit(127);
	}
	is(PgweirTest::reap($pid) >> 8, 1, 'with sockets of systemd it is refused');
	like($w->log, qr/-R cannot be used with sockets of systemd/, '... and says why');
	$w = sidecar($pg, start => 0, args => ['-R'], settings => {unix_socket_dir => ''});
	my ($code, $log) = $w->start_fails;
	like("$code $log", qr/^1 .*could not take over: that needs unix_socket_dir/s, 'without a Unix socket, too');
};
subtest 'an abstract socket' => sub {
	my $name = "\@pgweir_test_$$";
	my $port = free_port();
	my $w = sidecar($pg, port => $port, settings => {listen_port => $port, unix_socket_dir => $name});
	my $address = "\0" . substr($name, 1) . "/.s.PGSQL.$port";

	is(PgWire->connect(socket => $address, user => 'postgres')->value('select 1'), 1, 'serves clients');
	my ($status, $out, $err) = run_program(['psql', '-XAtqc', 'select 2', '-h', $name, '-p', $port, '-U', 'postgres', 'postgres']);
	is($out, "2\n", 'psql, which writes the name in the same way') or diag $err;
	my $second = sidecar($pg, port => $port, settings => {listen_port => $port, listen_addr => '', unix_socket_dir => $name}, start => 0);
	like(($second->start_fails)[1], qr/unix socket is in use, cannot continue/, 'a second process is refused');
};
subtest 'the console on the Unix socket' => sub {
	my ($w, $socket) = weir(auth_type => 'scram-sha-256', admin_users => '');

	my $own = PgWire->connect(socket => $socket, user => 'pgbouncer', database => 'pgbouncer');
	is_deeply($own->{asked}, [0], 'the own system user is asked for nothing');
	is($own->ask('pause')->{tags}[0] . $own->ask('resume')->{tags}[0], 'PAUSERESUME', '... and may do all');
	is(failed($socket, user => 'postgres', database => 'pgbouncer', password => ''), 'SASL authentication failed', 'anybody else must prove who he is');
	isnt((PgWire->connect(port => $w->port, user => 'pgbouncer', database => 'pgbouncer', password => 'x', may_fail => 1)->{failed} // {M => 'welcome'})->{M}, 'welcome', '... and so must he over TCP');
};
subtest 'an old protocol' => sub {
	my ($w, $socket) = weir();
	my $c = PgWire->open_socket(port => $w->port);

	$c->send(pack('NN', 296, 2 << 16) . "\0" x 288);
	is($c->until_ready->{error}{M}, 'old V2 protocol not supported', 'version 2 is refused in words');
};
done_testing;
