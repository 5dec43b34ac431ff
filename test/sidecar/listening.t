# Where the daemon listens, and how it starts: Unix sockets, several addresses, socket activation, SO_REUSEPORT, pidfile, background.
use PgweirTest;
use File::Basename 'basename';
use IO::Socket::INET;

my $pg = server(preload => '');
my $program = $ENV{PGWEIR_SIDECAR} // PgweirTest::top() . '/sidecar/pgweir';
my ($w, $w2, $code, $log, $fd);

# Does the process have a socket that listens on this port of IPv4?
sub listens
{
	my ($w, $port) = @_;
	my %listening = map { my @f = split; $f[3] eq '0A' && hex((split /:/, $f[1])[1]) == $port ? ($f[9] => 1) : () } grep { /:/ } split /\n/, slurp('/proc/net/tcp') =~ s/^.*\n//r;

	return scalar grep { $listening{((readlink $_) // '') =~ /^socket:\[(\d+)\]/ ? $1 : 0} } glob '/proc/' . $w->pid . '/fd/*';
}

# --- Unix socket: in use, group, mode ---
{
	my $port = free_port();
	my $dir = PgweirTest::new_dir('u');
	my @groups = split ' ', $);
	my %settings = (unix_socket_dir => $dir, unix_socket_mode => '0750', unix_socket_group => $groups[-1], listen_port => $port);

	$w = sidecar($pg, port => $port, settings => \%settings);
	my @st = stat "$dir/.s.PGSQL.$port";
	is(sprintf('%o', $st[2] & 0777), '750', 'unix_socket_mode is the mode of the socket');
	is($st[5], $groups[-1], 'unix_socket_group is its group');
	is(PgWire->connect(socket => "$dir/.s.PGSQL.$port", user => 'postgres')->value('select 1'), 1, 'the Unix socket serves clients');
	$w2 = sidecar($pg, port => $port, settings => {%settings, listen_addr => '', pidfile => "$dir/other.pid"}, start => 0);
	($code, $log) = $w2->start_fails;
	is($code, 1, 'a second daemon on the same socket ends with 1');
	like($log, qr/unix socket is in use, cannot continue/, '... and says why');
	ok(!-e "$dir/other.pid", '... before it writes a pidfile');
	$w->stop('KILL');
	unlink $w->{settings}{pidfile};
	$w->start;
	is($w->sql('select 1'), 1, 'a socket file that nobody serves is no obstacle');
	$w->stop;
	$w2 = sidecar($pg, port => $port, settings => {%settings, unix_socket_group => 'no_such_group_here'}, start => 0);
	($code, $log) = $w2->start_fails;
	like("$code $log", qr/^1 .*group "no_such_group_here" does not exist/s, 'an unknown unix_socket_group is refused');
}

# --- pidfile ---
$w = sidecar($pg, start => 0);
my $pidfile = $w->{settings}{pidfile};
write_file($pidfile, "$$\n");
($code, $log) = $w->start_fails;
like("$code $log", qr/^1 .*process $$ lives/s, 'the pidfile of a live process stops the start');
write_file($pidfile, "rubbish\n");
($code, $log) = $w->start_fails;
like("$code $log", qr/^1 .*holds no process id/s, 'so does one that cannot be read');
write_file($pidfile, "4194999\n");
$w->start;
eventually { slurp($pidfile) eq $w->pid . "\n" } 'the pidfile';
is(slurp($pidfile), $w->pid . "\n", 'a stale one is replaced');
$w->stop;
ok(!-e $pidfile, 'and removed at the end');

# --- several addresses ---
{
	my $port = free_port();

	$w = sidecar($pg, port => $port, settings => {listen_addr => '127.0.0.1, 127.0.0.2', listen_port => $port});
	is(PgWire->connect(host => $_, port => $port, user => 'postgres')->value('select 1'), 1, "listens on $_") for '127.0.0.1', '127.0.0.2';
	$w->stop;
	$w = sidecar($pg, port => $port, settings => {listen_addr => 'localhost', listen_port => $port});
	$w->wait_log(qr/process up/);
	my @lines = $w->log =~ /listening on (\S+)/g;
	my %v4 = map { $_ => 1 } @lines;
	ok($v4{"127.0.0.1:$port"}, 'a name means its addresses');
	$w->stop;
	$w = sidecar($pg, port => $port, settings => {listen_addr => '127.0.0.1', listen_port => $port, tcp_defer_accept => 0});
	my $idle = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	eventually { (grep { $_->{list} eq 'login_clients' } @{$w->console('show lists')})[0]{items} >= 1 } 'the silent client is seen';
	pass('tcp_defer_accept = 0: a client that says nothing is accepted at once');
	$w->stop;
}

# --- in the background, with relative paths ---
{
	$w = sidecar($pg, settings => {logfile => 'd.log', pidfile => 'd.pid', auth_file => 'users.txt', default_pool_size => 7}, start => 0);
	my ($dir, $file) = ($w->{dir}, basename($w->{file}));
	my ($status, $out, $err) = run_program(['sh', '-c', "cd '$dir' && exec '$program' -q -d '$file'"]);

	is($status, 0, 'the parent of a daemon ends with 0 once it listens') or diag $err;
	chomp(my $pid = slurp("$dir/d.pid"));
	is($w->sql('select 1'), 1, 'it serves');
	$w->{settings}{default_pool_size} = 8;
	$w->write_config;
	$w->console('reload');
	is((grep { $_->{key} eq 'default_pool_size' } @{$w->console('show config')})[0]{value}, 8, 'RELOAD finds the relative file again');
	is($w->sql('select 1'), 1, '... and the relative auth_file');
	kill 'QUIT', $pid;
	eventually { !-e "$dir/d.pid" } 'the daemon ends';
	eventually { slurp("$dir/d.log") =~ /process going down/ } 'its last line';
	pass('it logs where it was told');
}

# --- socket activation ---
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5, ReuseAddr => 1) or die;
	my $port = $socket->sockport;
	my $unused = free_port();
	my $output;

	$w = sidecar($pg, port => $unused, settings => {listen_port => $unused}, start => 0);
	$output = $w->{output};
	my $pid = fork // die;
	if (!$pid)
	{
		$^F = 10;
		POSIX::dup2(fileno $socket, 3);
		open STDOUT, '>>', $output;
		open STDERR, '>>', $output;
		$ENV{LISTEN_PID} = $$;
		$ENV{LISTEN_FDS} = 1;
		exec $program, $w->{file} or POSIX::_exit(127);
	}
	$w->{pid} = $pid;
	close $socket;
	$w->{port} = $port;
	is($w->sql('select 1'), '1', 'a socket passed in by systemd is served');
	ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $unused), '... instead of listen_addr');
	$w->stop;
}

# --- two processes on one port, and a restart nobody notices ---
{
	my $port = free_port();

	$w = sidecar($pg, port => $port, settings => {listen_port => $port, so_reuseport => 0});
	$w2 = sidecar($pg, port => $port, settings => {listen_port => $port, so_reuseport => 0}, start => 0);
	($code) = $w2->start_fails;
	is($code, 1, 'without so_reuseport a port is taken once');
	$w->stop;
	$w = sidecar($pg, port => $port, settings => {listen_port => $port, so_reuseport => 1});
	my $old = $w->wire;
	is($old->value('select 1'), 1, 'a client of the old process');
	cmp_ok(listens($w, $port), '>=', 1, '... which listens');
	$w2 = sidecar($pg, port => $port, settings => {listen_port => $port, so_reuseport => 1});
	$w2->wait_log(qr/process up/);
	$w->signal("TERM");
	$w->wait_log(qr/got SIGTERM/);
	eventually { !listens($w, $port) } 'the old process to listen no more';
	my %seen;
	for (1 .. 10) { my $c = $w2->wire; $seen{$c->value("select 'ok'")}++; $c->disconnect; }
	is_deeply(\%seen, {ok => 10}, 'with so_reuseport a new process takes every new client');
	is($old->value('select 2'), 2, '... while the old one serves its own');
	$old->disconnect;
	is($w->wait_end, 0, '... and ends after the last of them');
}

done_testing;
