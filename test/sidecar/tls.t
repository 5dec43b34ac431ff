# TLS on both sides, with certificates that are made here.
use PgweirTest;

my $dir = PgweirTest::new_dir('c');

sub openssl
{
	my ($status, $out, $err) = PgweirTest::run_program(['openssl', @_]);

	die "openssl @_: $err" if $status;
	return $out;
}

# An authority, or a certificate signed by one.
sub certificate
{
	my ($name, $subject, $authority, $alternative) = @_;
	my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', "$dir/$name.key");

	if (!$authority)
	{
		openssl('req', '-x509', @key, '-out', "$dir/$name.crt", '-days', 30, '-subj', "/CN=$subject");
	}
	else
	{
		openssl('req', @key, '-out', "$dir/$name.csr", '-subj', "/CN=$subject");
		PgweirTest::write_file("$dir/$name.ext", $alternative ? "subjectAltName=$alternative\n" : "basicConstraints=CA:FALSE\n");
		openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$authority.crt", '-CAkey', "$dir/$authority.key", '-CAcreateserial', '-days', 30, '-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
	}
	chmod 0600, "$dir/$name.key";
	return;
}

certificate('ca', 'our authority');
certificate('other', 'another authority');
certificate('server', 'localhost', 'ca', 'DNS:localhost');
certificate('second', 'localhost', 'ca', 'DNS:localhost,IP:127.0.0.1');
certificate('client', 'postgres', 'ca');
certificate('stranger', 'postgres', 'other');

my $pg = server(preload => '', conf => {ssl => 'on', ssl_cert_file => "$dir/server.crt", ssl_key_file => "$dir/server.key", ssl_ca_file => "$dir/ca.crt"});
$pg->sql("create role app login password 'pw'");

# Through the sidecar with psql: what it says.
sub attempt
{
	my ($w, $options, $sql) = @_;
	my ($status, $out, $err) = PgweirTest::run_program(['psql', '-XAtq', '-d', "host=localhost hostaddr=127.0.0.1 port=$w->{port} user=postgres dbname=postgres connect_timeout=100 $options", '-c', $sql // 'select 1']);

	return $status == 0 ? $out =~ s/\s+$//r : $err;
}
# Change settings; the console is of no use, since it too needs TLS then.
sub change
{
	my ($w, %settings) = @_;
	my $mark = $w->log_mark;

	$w->set(%settings)->signal('HUP');
	return $w->wait_log(qr/changed from/, $mark);
}
my %cert = (client_tls_cert_file => "$dir/server.crt", client_tls_key_file => "$dir/server.key");
my $on_server = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()';

subtest 'clients: who may and who must' => sub {
	my $w = sidecar($pg, settings => {server_tls_sslmode => 'disable'});

	is(attempt($w, 'sslmode=prefer'), 1, 'disable: without TLS');
	like(attempt($w, 'sslmode=require'), qr/server does not support SSL/, 'disable: no TLS');
	for my $mode (qw(allow prefer))
	{
		change($w, client_tls_sslmode => $mode, %cert);
		is(attempt($w, 'sslmode=disable'), 1, "$mode: without TLS");
		is(attempt($w, "sslmode=verify-full sslrootcert=$dir/ca.crt"), 1, "$mode: with TLS, and the certificate is the right one");
	}
	change($w, client_tls_sslmode => 'require');
	like(attempt($w, 'sslmode=disable'), qr/SSL required/, 'require: not without TLS');
	is(attempt($w, 'sslmode=require'), 1, 'require: with TLS');
	like(attempt($w, "sslmode=verify-ca sslrootcert=$dir/other.crt"), qr/certificate verify failed/, 'the client checks the certificate');
	for my $mode (qw(verify-ca verify-full))
	{
		change($w, client_tls_sslmode => $mode, client_tls_ca_file => "$dir/ca.crt");
		like(attempt($w, 'sslmode=require'), qr/certificate required|SSL/, "$mode: not without a certificate");
		like(attempt($w, "sslmode=require sslcert=$dir/stranger.crt sslkey=$dir/stranger.key"), qr/unknown ca|SSL/, "$mode: not with that of another authority");
		is(attempt($w, "sslmode=require sslcert=$dir/client.crt sslkey=$dir/client.key"), 1, "$mode: with one of ours");
	}
	like($w->log, qr/login attempt: db=postgres user=postgres tls=TLSv1\.3\/TLS_\w+/, 'the log says what was agreed on');
};
subtest 'versions, ciphers, curves' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert, client_tls_protocols => 'tlsv1.2', client_tls_ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256'});
	my $held = PgWire->open_socket(port => $w->{port});

	is(attempt($w, 'sslmode=require ssl_max_protocol_version=TLSv1.2'), 1, 'TLS 1.2');
	like(attempt($w, 'sslmode=require ssl_min_protocol_version=TLSv1.3'), qr/version|alert/, 'not 1.3');
	like($w->log, qr{tls=TLSv1\.2/ECDHE-ECDSA-AES128-GCM-SHA256/}, 'the cipher of the list');
	change($w, client_tls_protocols => 'tlsv1.3', client_tls13_ciphers => 'TLS_CHACHA20_POLY1305_SHA256', client_tls_ecdhcurve => 'secp384r1');
	is(attempt($w, 'sslmode=require'), 1, 'TLS 1.3');
	like($w->log, qr{tls=TLSv1\.3/TLS_CHACHA20_POLY1305_SHA256/ECDH=secp384r1}, 'the suite and the curve asked for');
	like(attempt($w, 'sslmode=require ssl_max_protocol_version=TLSv1.2'), qr/version|alert/, 'not 1.2');
};
subtest 'servers' => sub {
	my $w = sidecar($pg, settings => {server_tls_sslmode => 'disable'}, databases => {postgres => 'host=localhost', byaddress => 'host=127.0.0.1 dbname=postgres'});
	my $tls = sub { $w->console('kill postgres'); $w->console('resume postgres'); return attempt($w, '', $on_server); };

	is($tls->(), 'f', 'disable: without TLS');
	for my $mode (qw(allow prefer require))
	{
		change($w, server_tls_sslmode => $mode);
		is($tls->(), 't', "$mode: with TLS");
	}
	change($w, server_tls_sslmode => 'verify-ca', server_tls_ca_file => "$dir/ca.crt");
	is($tls->(), 't', 'verify-ca: the authority is right');
	is(attempt($w, 'dbname=byaddress', $on_server), 't', '... whatever the name');
	change($w, server_tls_sslmode => 'verify-full');
	is($tls->(), 't', 'verify-full: the name is right too');
	$w->console('kill byaddress');
	$w->console('resume byaddress');
	like(attempt($w, 'dbname=byaddress'), qr/TLS failed: certificate verify failed: IP address mismatch/, '... a wrong one is found out');
	like($w->console('show servers')->[0]{tls}, qr/^TLSv1\.3\//, 'SHOW SERVERS tells');
	change($w, server_tls_ca_file => "$dir/other.crt", server_tls_sslmode => 'verify-ca', server_login_retry => 1);
	like($tls->(), qr/TLS failed: certificate verify failed/, 'another authority is refused');
};
subtest 'Diffie-Hellman' => sub {
	openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', "$dir/rsa.key", '-out', "$dir/rsa.crt", '-days', 30, '-subj', '/CN=localhost');
	chmod 0600, "$dir/rsa.key";
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', client_tls_cert_file => "$dir/rsa.crt", client_tls_key_file => "$dir/rsa.key", client_tls_protocols => 'tlsv1.2', client_tls_ciphers => 'DHE-RSA-AES128-GCM-SHA256'});

	is(attempt($w, 'sslmode=require'), 1, 'client_tls_dheparams = auto has parameters');
	change($w, client_tls_dheparams => 'none');
	like(attempt($w, 'sslmode=require'), qr/handshake failure|alert/, '... none has not');
};
subtest 'what servers are offered' => sub {
	my $w = sidecar($pg, settings => {server_tls_sslmode => 'require', server_tls_protocols => 'tlsv1.2', server_tls_ciphers => 'ECDHE-ECDSA-AES128-GCM-SHA256'});
	my $agreed = sub { attempt($w, ''); return $w->console('show servers')->[0]{tls}; };

	like($agreed->(), qr{^TLSv1\.2/ECDHE-ECDSA-AES128-GCM-SHA256/}, 'server_tls_protocols and server_tls_ciphers');
	change($w, server_tls_protocols => 'tlsv1.3', server_tls13_ciphers => 'TLS_CHACHA20_POLY1305_SHA256');
	$w->console('reconnect');
	like($agreed->(), qr{^TLSv1\.3/TLS_CHACHA20_POLY1305_SHA256/}, 'server_tls13_ciphers');
};
subtest 'a server without TLS' => sub {
	my $plain = server(preload => '');
	my $w = sidecar($plain, settings => {server_tls_sslmode => 'prefer', server_login_retry => 1});

	is(attempt($w, ''), 1, 'prefer goes on without');
	change($w, server_tls_sslmode => 'require');
	$w->console('kill postgres');
	$w->console('resume postgres');
	like(attempt($w, ''), qr/server refused SSL/, 'require does not');
};
subtest 'a certificate of somebody else asks nothing' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'verify-ca', %cert, client_tls_ca_file => "$dir/ca.crt", auth_type => 'cert', auth_user => 'admin', auth_query => 'nonsense'});
	my $as = sub { return attempt($w, "sslmode=require sslcert=$dir/client.crt sslkey=$dir/client.key user=$_[0]"); };

	is($as->('postgres'), 1, 'the user whom the certificate names comes in');
	like($as->('admin'), qr/certificate authentication failed/, 'another who exists is refused');
	like($as->('nobody'), qr/certificate authentication failed/, '... and so is one who does not, in the same words and without a look into the server');
};

subtest 'a certificate for the server' => sub {
	$pg->set_hba('hostssl all app 127.0.0.1/32 scram-sha-256 clientcert=verify-ca', 'host all all 127.0.0.1/32 trust');
	$pg->reload;
	my $w = sidecar($pg, auth => {app => 'pw', postgres => ''}, settings => {server_tls_sslmode => 'require', server_login_retry => 1});

	like(attempt($w, 'user=app'), qr/requires a valid client certificate/, 'without one it is refused');
	change($w, server_tls_cert_file => "$dir/client.crt", server_tls_key_file => "$dir/client.key");
	# (when server_login_retry has passed)
	eventually { attempt($w, 'user=app') eq '1' } 'it to be let in';
	is(attempt($w, 'user=app', 'select client_dn from pg_stat_ssl where pid = pg_backend_pid()'), '/CN=postgres', 'with one it is let in');
};
subtest 'data: large, both ways, at once' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert, server_tls_sslmode => 'require'});
	my $text = join '', map { "$_\t" . ('x' x ($_ % 700)) . "\n" } 1 .. 20000;
	my ($status, $out, $err);

	is(attempt($w, 'sslmode=require', q{select md5(string_agg(i::text, ',')) || length(repeat('x', 5000000)) from generate_series(1, 100000) i}), attempt($w, 'sslmode=require', q{select md5(string_agg(i::text, ',')) || 5000000 from generate_series(1, 100000) i}), 'a statement');
	is(length attempt($w, 'sslmode=require', q{select repeat('y', 20000000)}), 20000000, 'a large value');
	PgweirTest::write_file("$dir/in", $text);
	PgweirTest::write_file("$dir/script", "create table t (i int, x text);\n\\copy t from '$dir/in'\n\\copy (select * from t order by i) to '$dir/out'\n");
	($status, $out, $err) = PgweirTest::run_program(['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', "host=127.0.0.1 port=$w->{port} user=postgres dbname=postgres sslmode=require", '-f', "$dir/script"]);
	is($status, 0, "COPY both ways $err");
	ok(PgweirTest::slurp("$dir/out") eq $text, '... and every byte is right');
	($status, $out, $err) = PgweirTest::run_program(['pgbench', '-n', '-i', '-q', '-d', "host=127.0.0.1 port=$w->{port} user=postgres dbname=postgres sslmode=require"]);
	($status, $out, $err) = PgweirTest::run_program(['pgbench', '-n', '-c', 20, '-j', 1, '-T', 3, '-M', 'extended', "host=127.0.0.1 port=$w->{port} user=postgres dbname=postgres sslmode=require"]);
	like($out, qr/number of failed transactions: 0 /, "pgbench $err");
};
subtest 'cancel over TLS' => sub {
	$pg->set_hba('hostssl all all 127.0.0.1/32 trust');
	$pg->reload;
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert, server_tls_sslmode => 'require', query_deadline => '300ms', deadline_grace => '60s'});

	like(attempt($w, 'sslmode=require', 'select pg_sleep(100)'), qr/canceling statement due to query deadline/, 'the server hears the cancel');
	becomes { attempt($w, 'sslmode=require', $on_server) } 't', 'and goes on';
	unlike($w->log, qr/outcome is unknown|did not come to rest/, 'its connection is kept');
};
subtest 'new certificates without dropping anybody' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert});
	my $gate = $pg->psql_session(sslmode => 'require');
	$gate->query('select pg_advisory_lock(7)');
	my $held = PgweirTest::spawn(['psql', '-XAtq', '-d', "host=127.0.0.1 port=$w->{port} user=postgres dbname=postgres sslmode=require", '-c', 'select pg_advisory_xact_lock(7)', '-c', q{select 'still here'}], "$dir/held");

	eventually { attempt($w, 'sslmode=require', q{select count(*) from pg_locks where locktype = 'advisory' and not granted}) eq '1' } 'the one who waits';
	like(attempt($w, "sslmode=verify-full sslrootcert=$dir/ca.crt host=127.0.0.1"), qr/does not match/, 'the old certificate has no address');
	change($w, client_tls_cert_file => "$dir/second.crt", client_tls_key_file => "$dir/second.key");
	is(attempt($w, "sslmode=verify-full sslrootcert=$dir/ca.crt host=127.0.0.1"), 1, 'the new one has');
	my $mark = $w->log_mark;
	$w->set(client_tls_key_file => "$dir/client.key");
	$w->signal('HUP');
	$w->wait_log(qr/client_tls_key_file: could not load private key|is not the key of the certificate/, $mark);
	$w->wait_log(qr/the old configuration stays in use/, $mark);
	is(attempt($w, "sslmode=verify-full sslrootcert=$dir/ca.crt host=127.0.0.1"), 1, 'a bad file leaves the old state');
	$gate->query('select pg_advisory_unlock(7)');
	is(PgweirTest::reap($held), 0, 'who was connected all the time');
	like(PgweirTest::slurp("$dir/held"), qr/still here/, '... is still served');
};
subtest 'bad files at the start' => sub {
	for my $case ([{client_tls_cert_file => "$dir/nowhere.crt"}, qr{client_tls_cert_file: could not load certificate "\Q$dir\E/nowhere.crt": No such file}],
		[{client_tls_key_file => "$dir/client.key"}, qr{client_tls_key_file: .*\Q$dir\E/client.key"}],
		[{client_tls_cert_file => "$dir/server.key"}, qr{client_tls_cert_file: could not load certificate "\Q$dir\E/server.key": }],
		[{client_tls_ca_file => "$dir/server.key"}, qr{client_tls_ca_file: could not load certificates of the authority "\Q$dir\E/server.key": }])
	{
		my ($code, $said) = sidecar($pg, start => 0, settings => {client_tls_sslmode => 'require', %cert, %{$case->[0]}})->start_fails;

		is($code, 1, join(' ', keys %{$case->[0]}) . ' is fatal');
		like($said, $case->[1], '... and says file and reason');
	}
};
subtest 'a key that others can read' => sub {
	chmod 0644, "$dir/server.key";
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'prefer', %cert});

	like($w->log, qr{WARNING client_tls_key_file: others can use the private key "\Q$dir\E/server.key" \(mode 0644\)}, 'is warned about');
	chmod 0600, "$dir/server.key";
	$w = sidecar($pg, settings => {client_tls_sslmode => 'prefer', %cert});
	unlike($w->log, qr/private key/, '... and one that is fine is not');
};
subtest 'strangers on the wire' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'prefer', %cert});
	my $request = pack('NN', 8, 80877103);
	my $c = PgWire->open_socket(port => $w->{port});

	$c->send($request . PgWire::startup(user => 'postgres', database => 'postgres'));
	$c->fill;
	is($c->{buffer}, '', 'plain bytes smuggled behind an SSLRequest end the connection');
	$c = PgWire->open_socket(port => $w->{port});
	$c->send($request);
	$c->fill;
	is($c->{buffer}, 'S', 'SSLRequest is answered with S');
	$c->send(PgWire::startup(user => 'postgres', database => 'postgres'));
	$c->fill while $c->{open};
	unlike($c->{buffer}, qr/R\0\0\0/, 'a plain startup packet instead of a handshake is not taken');
	$c = PgWire->open_socket(port => $w->{port});
	$c->send(pack('NN', 8, 80877104));
	$c->fill;
	is($c->{buffer}, 'N', 'GSS encryption is refused');
	$c->{buffer} = '';
	$c->send($request);
	$c->fill;
	is($c->{buffer}, 'S', '... and TLS may follow');
	srand 5;
	for (1 .. 50)
	{
		$c = PgWire->open_socket(port => $w->{port});
		$c->send(rand() < 0.5 ? $request : "\x16\x03\x01");
		$c->send(join '', map { chr int rand 256 } 1 .. 1 + rand 300);
		close $c->{socket};
	}
	is(attempt($w, 'sslmode=require'), 1, 'garbage in place of a handshake harms nobody');
	ok($w->alive, 'the sidecar lives');
};
subtest 'channel binding' => sub {
	$pg->set_hba('hostssl all app 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust');
	$pg->reload;
	my ($secret) = $pg->sql(q{select rolpassword from pg_authid where rolname = 'app'});
	my $w = sidecar($pg, auth => {app => $secret, postgres => ''}, settings => {auth_type => 'scram-sha-256', client_tls_sslmode => 'prefer', %cert, server_tls_sslmode => 'require'});

	like(attempt($w, 'user=app password=pw sslmode=require channel_binding=require'), qr/^1$/, 'the client binds its proof to the channel, and so does the sidecar');
	is(attempt($w, 'user=app password=pw sslmode=require channel_binding=disable'), 1, 'who does not bind is let in too');
	is(attempt($w, 'user=app password=pw sslmode=disable'), 1, '... as without TLS');
	like(attempt($w, 'user=app password=pw sslmode=disable channel_binding=require'), qr/channel binding/, 'without TLS there is none to bind to');
	like(attempt($w, 'user=app password=no sslmode=require channel_binding=require'), qr/SASL authentication failed/, 'a wrong password is wrong');
	like(attempt($w, 'user=nobody password=pw sslmode=require channel_binding=require'), qr/SASL authentication failed/, 'an unknown user hears the same');

	my $middle = sidecar($pg, auth => {app => 'pw', postgres => ''}, databases => {postgres => "host=127.0.0.1 port=$w->{port}"}, settings => {auth_type => 'trust', server_tls_sslmode => 'require'});
	is(attempt($middle, 'user=app'), 1, 'the sidecar binds as a client of another sidecar');
	like($w->log, qr/login attempt: db=postgres user=app tls=TLSv1\.3/, '... over TLS');
};
subtest 'direct TLS' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert});
	my $direct = sub {
		my ($status, $out, $err) = PgweirTest::run_program(['openssl', 's_client', '-connect', "127.0.0.1:$w->{port}", '-CAfile', "$dir/ca.crt", @_], stdin => '');

		return $out . $err;
	};

	like($direct->('-alpn', 'postgresql'), qr/ALPN protocol: postgresql/, 'the protocol is agreed on');
	like($direct->('-alpn', 'http/1.1'), qr/no application protocol/, 'another protocol is refused');
	like($direct->(), qr/Verify return code: 0/, 'none is fine');
};
subtest 'direct TLS to servers' => sub {
	my $far = sidecar($pg, settings => {client_tls_sslmode => 'require', %cert, log_connections => 1});
	my %direct = (server_tls_sslnegotiation => 'direct', server_login_retry => 1);
	my $w = sidecar($pg, databases => {postgres => "host=localhost port=$far->{port}"}, settings => {%direct, server_tls_sslmode => 'verify-full', server_tls_ca_file => "$dir/ca.crt", query_deadline => '500ms', deadline_grace => '60s'});

	becomes { attempt($w, '') } 1, 'a server that knows it';
	like($w->console('show servers')->[0]{tls}, qr/^TLSv1\.3\//, '... over TLS');
	like(attempt($w, '', 'select pg_sleep(100)'), qr/canceling statement due to query deadline/, '... and a cancel request goes that way too');
	becomes { attempt($w, '') } 1, '... and is heard';
	$w = sidecar($pg, settings => {%direct, server_tls_sslmode => 'require'});
	if ($pg->major < 17)
	{
		attempt($w, 'connect_timeout=2');
		ok($w->wait_log(qr/TLS failed|server closed the connection during login/), 'one that does not (PostgreSQL before 17) is not taken for one');
	}
	else
	{
		is(attempt($w, '', 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'), 't', 'PostgreSQL itself');
		like($w->console('show servers')->[0]{tls}, qr/^TLSv1\.3\//, '... over TLS');
		like(attempt($w, '', q{/* pgweir_deadline='300ms' */ select pg_sleep(10)}), qr/canceling statement due to query deadline/, '... and a cancel request, too');
		$w = sidecar($pg, databases => {postgres => "host=localhost port=$pg->{port}"}, settings => {%direct, server_tls_sslmode => 'verify-full', server_tls_ca_file => "$dir/ca.crt"});
		is(attempt($w, ''), 1, '... verified');
	}
	my $port = free_port();
	my $other = PgweirTest::spawn(['openssl', 's_server', '-accept', $port, '-cert', "$dir/server.crt", '-key', "$dir/server.key", '-quiet'], "$dir/s_server");
	PgweirTest::wait_for_port($port, sub { kill 0, $other });
	$w = sidecar($pg, databases => {postgres => "host=127.0.0.1 port=$port"}, settings => {%direct, server_tls_sslmode => 'require'});
	like(attempt($w, ''), qr/TLS failed: the server did not agree on the protocol \(ALPN\)/, 'nor one that speaks TLS, but not our protocol');
	kill 'KILL', $other;
	PgweirTest::reap($other);
	my ($code, $said) = sidecar($pg, start => 0, settings => {%direct, server_tls_sslmode => 'prefer'})->start_fails;
	like($said, qr/server_tls_sslnegotiation = direct needs server_tls_sslmode = require/, 'it cannot be a mere preference');
};
subtest 'resumption' => sub {
	my $w = sidecar($pg, settings => {client_tls_sslmode => 'verify-full', %cert, client_tls_ca_file => "$dir/ca.crt"});
	# it stays until its login has failed, and has read the ticket by then
	my $login = PgWire::startup(user => 'nobody_here', database => 'postgres');
	my $session = sub {
		my (@options) = @_;
		my ($status, $out, $err) = PgweirTest::run_program(['openssl', 's_client', '-starttls', 'postgres', '-connect', "127.0.0.1:$w->{port}", '-cert', "$dir/client.crt", '-key', "$dir/client.key", '-ign_eof', @options], stdin => $login);

		return ($out . $err) =~ /^(New|Reused), (?:TLSv|\(NONE\))/m ? $1 : $out . $err;
	};

	for my $version (qw(tls1_2 tls1_3))
	{
		is($session->("-$version", '-sess_out', "$dir/$version.session"), 'New', "$version: a first session");
		is($session->("-$version", '-sess_in', "$dir/$version.session"), 'Reused', '... is resumed');
		is($session->("-$version"), 'New', '... by who has the ticket');
	}
	change($w, client_tls_cert_file => "$dir/second.crt", client_tls_key_file => "$dir/second.key");
	is($session->('-tls1_3', '-sess_in', "$dir/tls1_3.session"), 'New', 'after a reload tickets are of no use any more');
	is(attempt($w, "sslmode=require sslcert=$dir/client.crt sslkey=$dir/client.key"), 1, 'and clients log in');
};
done_testing;
