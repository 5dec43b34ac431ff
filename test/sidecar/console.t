# The console's SHOW commands: names, types and order of the columns are PgBouncer's, and the values are true.
use PgweirTest;

my $pg = server;

$pg->sql('create role app login');
my $w = sidecar($pg, databases => {'*' => '', shop => 'dbname=postgres pool_size=3 max_db_connections=7', list => 'dbname=postgres host=127.0.0.1,127.0.0.1'},
	users => {app => 'pool_size=5 pool_mode=session'},
	settings => {stats_users => 'watcher', default_pool_size => 4, stats_period => 1, deadline_grace => '60s', client_idle_timeout => 77, max_client_conn => 3000},
	auth => {postgres => '', watcher => '', app => '', app2 => ''});
my $admin = $w->wire(user => 'admin', dbname => 'pgbouncer');
my %letters = (25 => 's', 23 => 'i', 20 => 'q', 1700 => 'N', 17 => 'b');

# A command with its columns: {columns, types (the letters of the reference), rows, tags, error, notices}.
sub console
{
	my ($c, $sql) = @_;
	my %a = (rows => [], tags => [], columns => [], types => '');

	$c->send(PgWire::query($sql));
	while (my $m = $c->next_message)
	{
		if ($m->{type} eq 'T')
		{
			my ($n, $rest) = unpack 'n a*', $m->{payload};

			for (1 .. $n)
			{
				my ($name, $table, $number, $type, $size, $modifier, $format, $more) = unpack 'Z* N n N n N n a*', $rest;

				push @{$a{columns}}, $name;
				$a{types} .= $letters{$type} // '?';
				$a{odd} = "$name: table $table, number $number, modifier $modifier, format $format" if $table || $number || $modifier != 0xFFFFFFFF || $format;
				$rest = $more;
			}
		}
		elsif ($m->{type} eq 'D') { push @{$a{rows}}, PgWire::row_values($m->{payload}); }
		elsif ($m->{type} eq 'C') { push @{$a{tags}}, substr $m->{payload}, 0, -1; }
		elsif ($m->{type} eq 'E') { $a{error} = PgWire::error_fields($m->{payload}); }
		elsif ($m->{type} eq 'N') { $a{notice} = PgWire::error_fields($m->{payload}); }
		elsif ($m->{type} eq 'Z') { $a{status} = $m->{payload}; last; }
	}
	return \%a;
}
# The rows of a SHOW as hashes.
sub shown { my ($what) = @_; my $a = console($admin, "show $what"); return map { my %row; @row{@{$a->{columns}}} = @$_; \%row } @{$a->{rows}}; }
sub row { my ($what, $column, $value) = @_; my ($row) = grep { $_->{$column} eq $value } shown($what); return $row; }

my $connection = 'type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id';
my $buffers = 'recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail';
my @totals = qw(server_assignment_count xact_count query_count received sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count);
my @averages = qw(server_assignment_count xact_count query_count recv sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count);
my @expected = (
	# command, types as in PgBouncer's source (T, a time, travels as text), columns
	[version => 's', 'version'],
	[state => 'ss', 'key value'],
	[config => 'ssss', 'key value default changeable'],
	[databases => 'ssissiiiissiiiiii', 'name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode load_balance_hosts max_connections current_connections max_client_connections current_client_connections paused disabled'],
	[users => 'ssssiiii', 'name pool_size reserve_pool_size pool_mode max_user_connections current_connections max_user_client_connections current_client_connections'],
	[peers => 'isii', 'peer_id host port pool_size'],
	[peer_pools => 'iiiii', 'peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login'],
	[pools => 'ssiiiiiiiiiiiiiss', 'database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts'],
	[clients => 'ssssssisiTTiiississii', $connection],
	[servers => 'ssssssisiTTiiississii', $connection],
	[sockets => 'ssssssisiTTiiississii' . 'iiiiiii', "$connection $buffers"],
	[active_sockets => 'ssssssisiTTiiississii' . 'iiiiiii', "$connection $buffers"],
	[lists => 'si', 'list items'],
	[stats => 's' . 'N' x 24, join ' ', 'database', (map { "total_$_" } @totals), map { "avg_$_" } @averages],
	[stats_totals => 's' . 'N' x 12, 'database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time client_parse_count server_parse_count bind_count client_login_count'],
	[stats_averages => 's' . 'N' x 12, 'database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count'],
	[totals => 'sN', 'name value'],
	[mem => 'siiii', 'name size used free memtotal'],
	[dns_hosts => 'sqs', 'hostname ttl addrs'],
	[dns_zones => 'sqi', 'zonename serial count'],
	[fds => 'issssiqisssssbb', 'fd task user database addr port cancel link client_encoding std_strings datestyle timezone password scram_client_key scram_server_key'],
	# ours
	[deadlines => 'ss' . 'N' x 7 . 'q' x 9, 'database user expired_queued expired_running expired_grace refused queue_full gone_waiting gone_running wait_p50 wait_p95 wait_p99 run_p50 run_p95 run_p99 deadline_p50 deadline_p95 deadline_p99'],
	[classes => 'sssNNNqqiisis', 'database user fingerprint calls refused expired mean_us hold_us active waiting slow share text'],
	[limits => 'ssssssiiiiNNq', 'name user database application_name tag fingerprint max_active active max_waiting waiting waited refused query_deadline'],
	[statements => 'qqqq', 'statements bytes prepared servers']);

# Something to look at: an idle client, one in a transaction, statements, a prepared one.
my $idle = $w->wire(user => 'app', dbname => 'shop', params => {application_name => 'till'});
my $busy = $w->wire(dbname => 'shop', params => {application_name => 'stock'});
$idle->ask('select 1');
$busy->ask("begin") && $busy->ask("/* a */ select pg_sleep(0.01) /* pgweir_deadline='10s' */");
$busy->send(PgWire::parse('one', 'select 41 + $1::int') . PgWire::bind_message('', 'one', '1') . PgWire::execute() . PgWire::sync());
$busy->until_ready;

for (@expected)
{
	my ($name, $types, $columns) = @$_;
	my $a = console($admin, "SHOW $name;");

	is("@{$a->{columns}}", $columns, "show $name: columns");
	(my $wire = $types) =~ tr/T/s/;
	is($a->{types}, $wire, "show $name: types");
	is("@{$a->{tags}} $a->{status}", 'SHOW I', "show $name: tag and status");
	is($a->{odd}, undef, "show $name: nothing odd in the description");
}
is(scalar(grep { $_->[0] !~ /^(deadlines|classes|limits|statements)$/ } @expected) + 1, 22, 'with HELP these are the 22 SHOW commands');

subtest 'help' => sub {
	my $a = console($admin, 'show help');

	is("@{$a->{tags}}", 'SHOW', 'tag');
	is($a->{notice}{M}, 'Console usage', 'notice');
	is($a->{notice}{C}, '00000', 'its code');
	like($a->{notice}{D}, qr/^\n\tSHOW HELP\|CONFIG\|DATABASES\|POOLS\|CLIENTS\|SERVERS\|USERS\|VERSION\n\tSHOW PEERS\|PEER_POOLS\n/, 'its first lines');
	like($a->{notice}{D}, qr/\n\tSET key = arg\n\tRELOAD\n\tPAUSE \[<db>\]\n\tRESUME \[<db>\]\n\tDISABLE <db>\n\tENABLE <db>\n\tRECONNECT \[<db>\]\n\tKILL \[<db>\]\n\tKILL_CLIENT <client_id>\n\tSUSPEND\n\tSHUTDOWN\n\tSHUTDOWN WAIT_FOR_SERVERS\|WAIT_FOR_CLIENTS\n\tWAIT_CLOSE \[<db>\]$/, 'its last lines');
};

subtest 'pools and databases' => sub {
	my $pool = row(pools => user => 'postgres');

	is($pool->{database}, 'shop', 'database');
	is("$pool->{cl_active} $pool->{cl_waiting} $pool->{sv_active} $pool->{pool_mode}", '1 0 1 transaction', 'one client in a transaction');
	is(row(pools => user => 'app')->{pool_mode}, 'session', "the user's mode");
	is(row(pools => user => 'app')->{sv_active}, 1, 'in session mode the server stays');
	is(row(pools => database => 'pgbouncer')->{cl_active}, 1, 'the console has its row');
	is(join(' ', map { $_->{database} } shown('pools')), 'pgbouncer shop shop', 'sorted by database');
	my $shop = row(databases => name => 'shop');
	is("$shop->{host} $shop->{port} $shop->{database} $shop->{pool_size} $shop->{max_connections} $shop->{current_connections} $shop->{current_client_connections}",
		"$pg->{host} $pg->{port} postgres 3 7 2 2", 'shop');
	is($shop->{force_user}, undef, 'no forced user is NULL');
	is($shop->{pool_mode}, undef, 'an inherited mode is NULL');
	is($shop->{load_balance_hosts}, undef, 'one host: no balancing');
	is(row(databases => name => 'list')->{load_balance_hosts}, 'round-robin', 'several hosts');
	is(row(databases => name => 'pgbouncer')->{port}, $w->{port}, 'the console among the databases');
	is(row(databases => name => 'pgbouncer')->{force_user}, 'pgbouncer', 'with its user');
	is(row(databases => name => 'pgbouncer')->{host}, undef, 'and no host');
	is(join(' ', map { $_->{name} } shown('databases')), 'list pgbouncer shop', 'sorted by name');
	my $automatic = $w->wire(dbname => 'template1');
	is(row(databases => name => 'template1')->{database}, 'template1', 'a database of * appears when it is used');
	is(row(pools => database => 'template1')->{cl_active}, 1, 'with its pool');
	$automatic->disconnect;
};

subtest 'users' => sub {
	my $app = row(users => name => 'app');

	is($app->{pool_size}, '        5', 'a size is text, right-aligned');
	is($app->{pool_mode}, 'session', 'mode');
	is($app->{current_connections}, 1, 'servers');
	is($app->{current_client_connections}, 1, 'clients');
	is(row(users => name => 'app2')->{pool_size}, '', 'a size not given is empty');
	is(row(users => name => 'app2')->{pool_mode}, undef, 'a mode not given is NULL');
};

subtest 'clients and servers' => sub {
	my $client = row(clients => application_name => 'stock');
	my ($server) = grep { $_->{link} eq $client->{ptr} } shown('servers');
	my $other = row(clients => application_name => 'till');

	is("$client->{type} $client->{user} $client->{database} $client->{replication} $client->{state}", 'C postgres shop none active', 'a client in a transaction');
	is($client->{addr}, '127.0.0.1', 'address');
	is($client->{port}, $busy->{socket}->sockport, 'port');
	is("$client->{local_addr}:$client->{local_port}", "127.0.0.1:$w->{port}", 'our own end');
	like($client->{connect_time}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+$/, 'time');
	is($client->{prepared_statements}, 1, 'prepared statements');
	ok($server, 'its server is linked to it');
	is("$server->{type} $server->{user} $server->{state} $server->{close_needed}", 'S postgres active 0', 'server');
	is($server->{remote_pid}, $busy->value('select pg_backend_pid()'), "the backend's pid");
	is($client->{link}, $server->{ptr}, 'and the other way round');
	is($server->{prepared_statements}, 1, 'prepared there too');
	isnt($client->{id}, $other->{id}, 'ids differ');
	is(scalar(grep { $_->{database} eq 'pgbouncer' } shown('clients')), 1, 'the asking console is listed');
	is(row(sockets => application_name => 'stock')->{state}, 'cl_active', 'state in SOCKETS');
	is(row(sockets => ptr => $server->{ptr})->{state}, 'sv_active', 'of the server');
	is(scalar(grep { $_->{type} eq 'S' } shown('active_sockets')), 2, 'ACTIVE_SOCKETS: linked servers');
	$busy->ask('commit');
	is(row(clients => application_name => 'stock')->{state}, 'idle', 'idle after the transaction');
	is(row(clients => application_name => 'stock')->{link}, '', 'and without server');
	is(row(servers => ptr => $server->{ptr})->{state}, 'idle', 'as the server');
};

subtest 'waiting' => sub {
	my @holders = map { $w->wire(dbname => 'shop') } 1 .. 3;
	my $waiter = $w->wire(dbname => 'shop', params => {application_name => 'queue'});

	$_->ask('begin') for @holders;
	my $sent = Time::HiRes::time();
	$waiter->send(PgWire::query('select 7'));
	eventually { row(pools => user => 'postgres')->{cl_waiting} } 'a waiting client';
	my $seen = Time::HiRes::time();
	select undef, undef, undef, 1.05;
	my $least = Time::HiRes::time() - $seen;
	my $pool = row(pools => user => 'postgres');
	my $most = Time::HiRes::time() - $sent;
	ok($pool->{maxwait} >= int $least && $pool->{maxwait} <= int $most, 'maxwait in whole seconds') or diag "$pool->{maxwait}, between $least and $most";
	cmp_ok($pool->{maxwait_us}, '<', 1_000_000, 'and the rest in microseconds');
	my $both = $pool->{maxwait} + $pool->{maxwait_us} / 1e6;
	ok($both >= $least - 0.01 && $both <= $most + 0.01, 'together the wait') or diag "$both, between $least and $most";
	my $client = row(clients => application_name => 'queue');
	is($client->{state}, 'waiting', 'state');
	ok($client->{wait} >= int $least && $client->{wait} <= int(Time::HiRes::time() - $sent), 'its wait') or diag $client->{wait};
	$_->ask('commit') for @holders;
	is($waiter->until_ready->{rows}[0][0], 7, 'served');
	$_->disconnect for @holders, $waiter;
};

subtest 'state, lists, memory, config' => sub {
	eventually { shown('clients') == 3 } 'those who left to be gone';
	my %state = map { $_->{key} => $_->{value} } shown('state');
	my %lists = map { $_->{list} => $_->{items} } shown('lists');
	my %config = map { $_->{key} => $_ } shown('config');

	is_deeply(\%state, {active => 'yes', paused => 'no', suspended => 'no'}, 'state');
	is(join(' ', map { $_->{list} } shown('lists')), 'databases users peers pools peer_pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones dns_queries dns_pending', 'lists in order');
	is($lists{databases}, 4, 'databases: two of the file, one of *, the console');
	is($lists{used_clients}, scalar(shown('clients')), 'clients');
	is($lists{used_servers}, scalar(shown('servers')), 'servers');
	is(join(' ', map { $_->{name} } shown('mem')), 'user_cache credentials_cache db_cache peer_cache peer_pool_cache pool_cache outstanding_request_cache server_cache client_cache iobuf_cache var_list_cache server_prepared_statement_cache', 'memory in order');
	is($config{client_idle_timeout}{value}, 77, 'config: value');
	is($config{client_idle_timeout}{default}, 0, 'config: default');
	is($config{client_idle_timeout}{changeable}, 'yes', 'config: changeable');
	is($config{listen_port}{changeable}, 'no', 'config: not changeable');
	is($config{unix_socket_mode}{value}, 511, 'config: an octal number in decimal');
	is($config{auth_user}{value}, undef, 'config: unset is NULL');
	like(console($admin, 'show version')->{rows}[0][0], qr/^PgBouncer 1\.25\.\d+ \(pgweir \d+\.\d+\.\d+\)$/, 'version');
	like((PgweirTest::run_program([PgweirTest::top() . '/sidecar/pgweir', '-V']))[1], qr/^\Q@{[console($admin, 'show version')->{rows}[0][0]]}\E\n.*^adns: c-ares \d.*^tls: OpenSSL .*^systemd: yes$/ms, '-V says the same');
	my @listed = map { my @f = split /\t/; $f[0] eq 'pgbouncer' ? $f[1] : () } split /\n/, (PgweirTest::run_program([PgweirTest::top() . '/sidecar/pgweir', '--list-settings']))[1];
	is_deeply([sort keys %config], [sort @listed], 'config: every key, no other');
};

subtest 'statistics' => sub {
	my $before = row(stats => database => 'shop');
	my $c = $w->wire(dbname => 'shop');

	$c->ask('select 1, pg_sleep(0.01)') for 1 .. 20;
	my $after = row(stats => database => 'shop');
	is($after->{total_query_count} - $before->{total_query_count}, 20, 'queries');
	is($after->{total_xact_count} - $before->{total_xact_count}, 20, 'transactions');
	is($after->{total_server_assignment_count} - $before->{total_server_assignment_count}, 20, 'server assignments');
	is($after->{total_client_login_count} - $before->{total_client_login_count}, 1, 'logins');
	cmp_ok($after->{total_query_time} - $before->{total_query_time}, '>=', 200_000, 'query time in microseconds');
	cmp_ok($after->{total_received} - $before->{total_received}, '>=', 20 * 25, 'bytes from clients');
	cmp_ok($after->{total_sent} - $before->{total_sent}, '>=', 20 * 40, 'bytes from servers');
	is(row(stats_totals => database => 'shop')->{query_count}, $after->{total_query_count}, 'the same in STATS_TOTALS');
	# (of a second in which there were some)
	my $average;
	eventually { $c->ask('select 1, pg_sleep(0.01)'); $average = row(stats_averages => database => 'shop'); $average->{query_time} >= 1000 && $average->{query_count} > 0 } 'averages';
	cmp_ok($average->{query_time}, '>=', 1000, 'average time of a query');
	eventually { $c->ask('select 1, pg_sleep(0.01)'); row(stats => database => 'shop')->{avg_query_count} > 0 } 'queries per second';
	pass('queries per second');
	my $commands = row(totals => name => 'total_query_count')->{value};
	is(row(totals => name => 'total_query_count')->{value}, $commands + 1, 'the console counts its own commands');
	is(join(' ', map { $_->{name} } shown('totals')),
		join(' ', map { my $prefix = $_; map { "${prefix}_$_" } qw(server_assignment_count xact_count query_count client_bytes server_bytes xact_time query_time wait_time ps_client_parse_count ps_server_parse_count ps_bind_count client_login_count) } qw(total avg)), 'totals in order');
	ok($w->wait_log(qr{LOG stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, \d+ client logins/s, in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us}), 'the line in the log');
	$c->disconnect;
};

subtest 'ours' => sub {
	my $c = $w->wire(dbname => 'shop');
	my $a = $c->ask("/* pgweir_deadline='50ms' */ select pg_sleep(10)");
	my $d = row(deadlines => user => 'postgres');

	is($a->{error}{C}, '57014', 'a deadline passed');
	is($d->{expired_running}, 1, 'and is counted');
	is($d->{expired_queued}, 0, 'as running');
	cmp_ok($d->{run_p99}, '>=', 40_000, 'its run time is in the histogram');
	cmp_ok($d->{deadline_p50}, '>', 0, 'and the deadline');
	is((shown('statements'))[0]{statements}, 1, 'one prepared statement');
	cmp_ok((shown('statements'))[0]{bytes}, '>', 20, 'its bytes');
	ok(scalar(grep { $_->{database} eq 'shop' && $_->{calls} > 0 } shown('classes')), 'statement classes');
	$c->disconnect;
};

subtest 'what drivers ask' => sub {
	my %fixed = (client_encoding => 'UTF-8', default_transaction_isolation => 'read committed', standard_conforming_strings => 'on', datestyle => 'ISO', timezone => 'GMT');

	for my $name (sort keys %fixed)
	{
		my $a = console($admin, 'SELECT ' . uc $name);

		is("@{$a->{columns}} $a->{rows}[0][0] @{$a->{tags}}", "$name $fixed{$name} SHOW", $name);
		$a = console($admin, "set $name to 'x'");
		is("$a->{notice}{M} @{$a->{tags}}", 'SET ignored SET', "set $name");
	}
};

subtest 'who may only read' => sub {
	my $watcher = $w->wire(user => 'watcher', dbname => 'pgbouncer');

	is("@{console($watcher, 'show pools')->{tags}}", 'SHOW', 'show');
	for ('show fds', 'set verbose = 1', 'reload', 'pause', 'resume', 'disable shop', 'enable shop', 'reconnect', 'kill', 'kill_client 1', 'suspend', 'shutdown', 'shutdown wait_for_clients', 'wait_close')
	{
		my $a = console($watcher, $_);

		is("$a->{error}{S} $a->{error}{C} $a->{error}{M} $a->{status}", 'ERROR 08P01 admin access needed I', $_);
	}
	is($w->wire(user => 'app2', dbname => 'pgbouncer', may_fail => 1)->{failed}{M}, 'not allowed', 'others may not enter');
};

subtest 'a long list comes in pieces and stays right while connections go' => sub {
	my @many = map { $w->wire(dbname => 'shop') } 1 .. 1200;
	my $reader = $w->wire(user => 'admin', dbname => 'pgbouncer');
	my $a;

	is(scalar(grep { $_->{database} eq 'shop' } shown('clients')), 1202, 'all are listed');
	# the reader reads nothing yet: the sidecar stops in the middle of one of the lists
	setsockopt($reader->{socket}, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 65536) or die $!;
	$reader->send(PgWire::query('show clients') x 60);
	my $stuck = eventually { (grep { $_->{database} eq 'pgbouncer' && $_->{send_remain} > 0 } shown('sockets'))[0] } 'a full socket';
	cmp_ok($stuck->{send_remain}, '<', 300_000, 'no more than a piece waits in memory');
	$many[$_]->vanish for grep { $_ % 3 } 0 .. $#many;
	eventually { row(databases => name => 'shop')->{current_client_connections} == 402 } 'two thirds to be gone';
	for (1 .. 60)
	{
		$a = $reader->until_ready;
		die 'not a whole list' unless "@{$a->{tags}}" eq 'SHOW' && $a->{types} =~ /^TD+CZ$/;
		my %seen;
		$seen{$_->[20]}++ && die 'a connection is listed twice' for @{$a->{rows}};
	}
	is(scalar(grep { $_->[2] eq 'shop' } @{$a->{rows}}), 402, 'the last list has who is left');
	$_->disconnect for grep { $_->{open} } @many;
	eventually { row(databases => name => 'shop')->{current_client_connections} == 2 } 'the others to be gone';
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();
