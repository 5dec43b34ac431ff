# Several processes behind one address: a cancel request finds the one it belongs to ([peers], peer_id).
use PgweirTest;
use Time::HiRes 'time';

my $pg = server(preload => '');
my @ports = map { free_port() } 1 .. 3;
my @w;

# Process number n knows the peers given; 3 is nowhere.
sub weir { my ($n, $peers, %settings) = @_; my $ini = "[peers]\n" . join '', map { "$_ = host=127.0.0.1 port=$ports[$_ - 1]" . ($_ == 1 ? " pool_size=1" : '') . "\n" } @$peers; return sidecar($pg, port => $ports[$n - 1], settings => {listen_port => $ports[$n - 1], peer_id => $n, cancel_wait_timeout => 600, %settings}, ini => $ini); }
# Is the request's connection closed, before any time limit ends it?
sub cancel_at { my ($port, $key) = @_; my $c = PgWire->open_socket(port => $port); $c->send(PgWire::cancel_request($key)); return eval { $c->fill; 1 } && !$c->{open}; }
sub started { my ($text) = @_; return eventually { $pg->sql("select count(*) from pg_stat_activity where query like '%$text%' and state = 'active' and pid <> pg_backend_pid()") } "$text runs"; }

@w = (weir(1, [1, 2]), weir(2, [1, 2, 3]));
my ($c, $d) = ($w[0]->wire, $w[1]->wire);
my @key = unpack 'C8', $c->{key};
is($key[1] | $key[2] << 8, 1, 'the key of a client names its process');
is($key[7] & 3, 3, '... and may be passed on three times');
is((unpack 'C8', $d->{key})[1], 2, 'each process has its own');

$c->send(PgWire::query('select pg_sleep(3100)'));
started('3100');
cancel_at($ports[1], $c->{key});
my $a = $c->until_ready;
is("$a->{error}{C} $a->{status}", '57014 I', 'a request that reaches the other process is passed on');
is($c->value('select 1'), 1, '... and the session goes on');
$d->send(PgWire::query('select pg_sleep(3200)'));
started('3200');
cancel_at($ports[0], $d->{key});
is($d->until_ready->{error}{C}, '57014', '... both ways');
$c->send(PgWire::query('select pg_sleep(3300)'));
started('3300');
cancel_at($ports[0], $c->{key});
is($c->until_ready->{error}{C}, '57014', '... and its own are its own');

my $gate = $pg->psql_session;
$gate->query('select pg_advisory_lock(1)');
$c->send(PgWire::query('select pg_advisory_xact_lock(1)'));
started('xact_lock');
my @worn = @key;
$worn[7] &= ~3;
cancel_at($ports[1], pack 'C8', @worn);
$w[1]->wait_log(qr/cancel request for peer 1 dropped: it has been passed on too often/);
$gate->query('select pg_advisory_unlock(1)');
is($c->until_ready->{error}, undef, 'a request that has been passed on too often is dropped, and the log says so');
ok(cancel_at($ports[0], pack 'C8', 1, 3, 0, 1, 1, 1, 1, 3), 'a request for an unknown peer is closed');
ok($w[0]->wait_log(qr/cancel request for peer 3 dropped: no such peer/), '... and logged');
ok(cancel_at($ports[1], pack 'C8', 1, 3, 0, 1, 1, 1, 1, 3), 'so is one for a peer that is down');
is($c->value('select 2') . $d->value('select 3'), '23', 'nobody is harmed');

# A circle: 1 believes 3 to be at 2, 2 believes it to be at 1.
my $circle = sub { my ($w, $port) = @_; $w->{ini} = "[peers]\n1 = host=127.0.0.1 port=$ports[0]\n2 = host=127.0.0.1 port=$ports[1]\n3 = host=127.0.0.1 port=$port\n"; $w->write_config; $w->reload; };
$circle->($w[0], $ports[1]);
$circle->($w[1], $ports[0]);
ok(cancel_at($ports[0], pack 'C8', 1, 3, 0, 1, 1, 1, 1, 3), 'a circle of peers ends');
is(scalar(() = (slurp($w[0]{log}) . slurp($w[1]{log})) =~ /peer 3 dropped: it has been passed on too often/g), 1, '... when the request has been passed on three times');

my $peers = $w[1]->console('show peers');
is(join(' ', map { "$_->{peer_id}:$_->{port}:$_->{pool_size}" } @$peers), join(' ', "1:$ports[0]:10", "2:$ports[1]:10", "3:$ports[0]:10"), 'SHOW PEERS');
is(join(' ', map { "$_->{peer_id}:$_->{cl_active_cancel_req}:$_->{cl_waiting_cancel_req}" } @{$w[1]->console('show peer_pools')}), '1:0:0 3:0:0', 'SHOW PEER_POOLS has the others');
is((grep { $_->{list} eq 'peers' } @{$w[1]->console('show lists')})[0]{items}, 3, 'SHOW LISTS counts them');

# pool_size of a peer: with one request on its way the next waits.
use IO::Socket::INET;
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die;
$w[0]->{ini} = "[peers]\n3 = host=127.0.0.1 port=" . $mute->sockport . " pool_size=1\n";
$w[0]->set->reload;
my @waiting = map { my $x = PgWire->open_socket(port => $ports[0]); $x->send(PgWire::cancel_request(pack 'C8', 1, 3, 0, 1, 1, 1, $_, 3)); $x } 1 .. 3;
eventually { my ($p) = @{$w[0]->console('show peer_pools')}; $p->{cl_active_cancel_req} == 1 && $p->{cl_waiting_cancel_req} == 2 } 'one is on its way, two wait';
pass('pool_size of a peer limits the requests on their way');
my $hasty = sidecar($pg, settings => {peer_id => 1, cancel_wait_timeout => 1.5}, ini => $w[0]{ini});
in_time
{
	my $t = time;
	my @these = map { my $x = PgWire->open_socket(port => $hasty->port); $x->send(PgWire::cancel_request(pack 'C8', 1, 3, 0, 1, 1, 1, $_, 3)); $x } 1 .. 3;

	$_->fill for @these;
	time - $t;
}
3, 'cancel_wait_timeout drops those that cannot be sent';

for ("0 = host=x\n", "20000 = host=x\n", "7 = port=3\n")
{
	my $bad = sidecar($pg, ini => "[peers]\n$_", start => 0);
	my ($code, $log) = $bad->start_fails;
	ok($code == 1 && $log =~ /\[peers\] \d+: /, 'refused: ' . s/\n//r);
}
done_testing;
