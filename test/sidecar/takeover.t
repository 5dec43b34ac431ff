# -R: a new process takes the sockets of the old one; nobody is refused, nobody is cut off.
use PgweirTest;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET);
use Time::HiRes 'sleep';

my $pg = server(preload => '');
my $dir = PgweirTest::new_dir('u');
my $port = free_port();
my %settings = (unix_socket_dir => $dir, listen_port => $port, http_listen => free_port());
my $w = sidecar($pg, port => $port, settings => \%settings);
my $socket = "$dir/.s.PGSQL.$port";
my $program = $ENV{PGWEIR_SIDECAR} // PgweirTest::top() . '/sidecar/pgweir';
my $old_pid = $w->pid;

# --- SHOW FDS ---
my $client = $w->wire(params => {application_name => 'stays'});
$client->ask('begin');
my %tasks;
$tasks{$_->{task}}++ for @{$w->console('show fds')};
is(join(' ', map { "$_:$tasks{$_}" } sort keys %tasks), 'client:2 pooler:2 server:1', 'SHOW FDS has the listening sockets, clients and servers');
my ($row) = grep { $_->{task} eq 'client' && $_->{database} eq 'postgres' } @{$w->console('show fds')};
is("$row->{user} $row->{addr} $row->{client_encoding} $row->{std_strings}", 'postgres 127.0.0.1 UTF8 on', '... with what they are');
is(join('', map { $_->{password} . $_->{scram_client_key} . $_->{scram_server_key} } @{$w->console('show fds')}), '', '... without secrets');

# --- load that connects anew for each transaction, all the time ---
write_file("$dir/q.sql", "select 1;\n");
my @load = map {
	my $host = $_;
	PgweirTest::spawn(['pgbench', '-n', '-C', '-h', $host, '-p', $port, '-U', 'postgres', '-c', 2, '-T', 6, '-f', "$dir/q.sql", 'postgres'], "$dir/load" . ($host =~ /^\// ? 'unix' : 'tcp'))
} '127.0.0.1', $dir;
my $busy = $w->wire;
$busy->ask('begin');

# --- the new process ---
my $new = sidecar($pg, port => $port, settings => {%settings, default_pool_size => 7, pidfile => $w->{settings}{pidfile}}, args => ['-R'], start => 0);
$new->{pid} = PgweirTest::spawn([$program, '-R', $new->{file}], $new->{output});
$new->wait_log(qr/process up/);
ok($w->wait_log(qr/another process has taken over, waiting for all clients to disconnect/), 'the old process knows');
ok($new->wait_log(qr/listening on 127\.0\.0\.1:$settings{http_listen} for HTTP/), 'the HTTP endpoint is the new one\'s');
eventually { slurp($w->{settings}{pidfile}) eq $new->pid . "\n" } 'the pidfile';
pass('the pidfile is the new one\'s');
my $c = PgWire->connect(port => $port, user => 'postgres', database => 'postgres');
is($c->value('select 2'), 2, 'new clients are served');
is((grep { $_->{key} eq 'default_pool_size' } @{$new->console('show config')})[0]{value}, 7, '... by the new process');
is(PgWire->connect(socket => $socket, user => 'postgres', database => 'postgres')->value('select 3'), 3, '... on the Unix socket too');
is($client->value("select 'still'"), 'still', 'a client of the old process goes on within its transaction');
$client->ask('commit');
is($client->value('select 4'), 4, '... and after it');
ok($w->alive, 'the old process waits for it');
is(PgweirTest::reap($_), 0, 'no connection was refused or cut off') for @load;
unlike(slurp("$dir/load$_"), qr/error|aborted|failed: [1-9]/i, "... $_") or diag slurp("$dir/load$_") for qw(tcp unix);
$_->disconnect for $client, $busy;
is($w->wait_end, 0, 'the old process ends with its last client');
ok(-S $socket, 'the socket file stays');
is(slurp($w->{settings}{pidfile}), $new->pid . "\n", '... and the pidfile');
is(PgWire->connect(socket => $socket, user => 'postgres', database => 'postgres')->value('select 5'), 5, '... the new process serves');

# --- once more, from the one that has itself taken over; in the background ---
my $third = sidecar($pg, port => $port, settings => {%settings, pidfile => $w->{settings}{pidfile}}, start => 0);
my ($status, $out, $err) = run_program([$program, '-q', '-d', '-R', $third->{file}]);
is($status, 0, 'again, with -d') or diag $err . $third->log;
chomp(my $third_pid = slurp($w->{settings}{pidfile}));
isnt($third_pid, $new->pid, 'a third process');
$c->disconnect;
is($new->wait_end, 0, 'the second one ends');
is(PgWire->connect(port => $port, user => 'postgres', database => 'postgres')->value('select 6'), 6, 'the third one serves');
kill 'QUIT', $third_pid;
eventually { !-e $w->{settings}{pidfile} && !-e $socket } 'its end';
pass('the last one removes the socket file');

# --- nobody there; PgBouncer there ---
$w = sidecar($pg, port => $port, settings => \%settings, args => ['-R']);
is($w->sql('select 7'), 7, 'without an old process -R starts as usual');
like($w->log, qr/old process not found/, '... and says so');
$w->stop;
SKIP: {
	require PgweirTest::Bouncer;
	skip 'pgbouncer is not installed', 2 unless PgweirTest::Bouncer::program();
	my $b = PgweirTest::Bouncer->new($pg, unix_socket_dir => $dir);
	my $from = sidecar($pg, port => $b->port, settings => {unix_socket_dir => $dir, listen_port => $b->port}, args => ['-R'], start => 0);
	my ($code, $log) = $from->start_fails;
	like("$code $log", qr/^1 .*not pgweir/s, 'PgBouncer gives its sockets to its own kind');
	is($b->sql('select 8'), 8, '... and goes on');
}
done_testing;
