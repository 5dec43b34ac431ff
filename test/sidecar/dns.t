# Names of servers: resolv_conf, how long answers are kept, zones that change, and what becomes of connections to an address that a name has left.
use PgweirTest;
use PgweirTest::Dns;

my $pg = server(preload => '', conf => {listen_addresses => '127.0.0.1,127.0.0.2'});
my $dns = PgweirTest::Dns->new(hosts => {'db.shop.zone' => '127.0.0.1'}, ttl => 60);
my %settings = (resolv_conf => $dns->{resolv_conf}, default_pool_size => 3, server_login_retry => 0.05, server_lifetime => 0, worker_spread => 'even'); # each worker asks for itself
my $w = sidecar($pg, settings => \%settings, databases => {postgres => 'host=db.shop.zone', lost => 'dbname=postgres host=no.shop.zone'});
my ($c, $d);

sub address { return $_[0]->value('select inet_server_addr()'); }
sub only { my ($show) = @_; my $rows = $w->console($show); return @$rows == 1 ? $rows->[0] : die scalar(@$rows) . " rows of $show"; }

# --- resolv_conf, dns_max_ttl ---
$c = $w->wire;
is(address($c), '127.0.0.1', 'resolv_conf: the server that the file names is asked');
address($c) for 1 .. 3;
is($dns->questions('A db.shop.zone'), 1, 'an answer is kept: new connections do not ask again');
my $host = only('show dns_hosts');
is("$host->{hostname} $host->{addrs}", 'db.shop.zone 127.0.0.1', 'SHOW DNS_HOSTS has the name');
cmp_ok($host->{ttl}, '<=', 15, '... for dns_max_ttl, whatever DNS says');
my $zone = only('show dns_zones');
is("$zone->{zonename} $zone->{serial} $zone->{count}", 'shop.zone 0 1', 'SHOW DNS_ZONES has its zone');
is($dns->questions('SOA shop.zone'), 0, '... which is not asked for without dns_zone_check_period');
$w->set(dns_max_ttl => 1)->reload;
$dns->set(ttl => 0);
$w->stop; $w->start;
$c = $w->wire;
my $before = $dns->questions('A db.shop.zone');
eventually { address($c); $dns->questions('A db.shop.zone') > $before } 'the name to be asked for again';
pass('dns_max_ttl: a short-lived answer is asked for again');

# --- dns_nxdomain_ttl ---
$w->set(dns_nxdomain_ttl => 300, server_lifetime => 3600, dns_max_ttl => 600, query_wait_timeout => 1)->reload;
$dns->set(ttl => 60);
eventually { $w->wire(database => 'lost', may_fail => 1); $w->log =~ /server DNS lookup failed.*server DNS lookup failed/s } 'two failures';
is($dns->questions('A no.shop.zone'), 1, 'dns_nxdomain_ttl: that there is no such name is remembered') or diag $w->log;
$w->set(dns_nxdomain_ttl => 0)->reload;
$w->stop; $w->start;
$before = $dns->questions('A no.shop.zone');
eventually { $w->wire(database => 'lost', may_fail => 1); $dns->questions('A no.shop.zone') > $before + 1 } 'it to be asked for again';
pass('... no longer than that');

# --- dns_zone_check_period ---
$w->set(query_wait_timeout => undef)->reload;
$c = $w->wire; $d = $w->wire;
$d->ask('begin');
is(address($_), '127.0.0.1', 'before the change') for $d, $c;
$w->set(dns_zone_check_period => 0.1)->reload;
eventually { grep { $_->{zonename} eq 'shop.zone' && $_->{serial} == 1 } @{$w->console('show dns_zones')} } 'the serial number';
pass('dns_zone_check_period: the serial number is asked for');
my $mark = $w->log_mark;
$dns->set(serial => 2, hosts => {'db.shop.zone' => '127.0.0.2'});
$w->wait_log(qr/closing because: server's address has changed/, $mark);
becomes { address($c) } '127.0.0.2', '... a change of it makes names be asked for, long before their time';
is(address($d), '127.0.0.1', '... a transaction is left alone');
$d->ask('commit');
becomes { address($d) } '127.0.0.2', '... until it ends';
is((grep { $_->{list} eq 'dns_zones' } @{$w->console('show lists')})[0]{items}, 1, 'SHOW LISTS counts the zones');
done_testing;
