# Who may log in how, by auth_hba_file.
use PgweirTest;

my $pg = server(preload => '');
$pg->sql("create role $_ login password 'pw-$_'") for qw(clear md scram trusted rejected peer);
my %password = map { $_ => "pw-$_" } qw(clear md scram trusted rejected peer);
my $dir = PgweirTest::new_dir('h');
my $me = getpwuid $>;

sub attempt
{
	my ($w, $user, $password, $host) = @_;
	my ($status, $out, $err) = PgweirTest::run_program(['psql', '-XAtq', '-d', 'host=' . ($host // '127.0.0.1') . " port=$w->{port} user=$user dbname=postgres connect_timeout=100", '-c', 'select current_user'], env => {PGPASSWORD => $password});

	return $status == 0 ? $out =~ s/\s+$//r : $err;
}

sub rules { my (@lines) = @_; PgweirTest::write_file("$dir/hba.conf", join '', map { "$_\n" } @lines); return; }
sub maps { my (@lines) = @_; PgweirTest::write_file("$dir/ident.conf", join '', map { "$_\n" } @lines); return; }

rules('local all peer peer map=me', 'local all all peer', 'host pgbouncer admin 127.0.0.1/32 trust',
	'host all clear 127.0.0.1/32 password', 'host all md 127.0.0.1 255.255.255.255 md5', 'host postgres,other /^scr samehost scram-sha-256',
	'host all rejected all reject', 'host all trusted samenet trust', 'host other all all trust');
maps("me $me peer");
my $w = sidecar($pg, auth => \%password, settings => {auth_type => 'hba', auth_hba_file => "$dir/hba.conf", auth_ident_file => "$dir/ident.conf", unix_socket_dir => $dir});

subtest 'each user by its own rule' => sub {
	for my $user (qw(clear md scram))
	{
		is(attempt($w, $user, "pw-$user"), $user, "$user with its password");
		like(attempt($w, $user, 'wrong'), qr/authentication failed/, "$user with another");
	}
	is(attempt($w, 'trusted', ''), 'trusted', 'trust needs none');
	like(attempt($w, 'rejected', 'pw-rejected'), qr/login rejected/, 'reject');
	like(attempt($w, 'peer', 'pw-peer'), qr/login rejected/, 'no rule fits');
	like($w->log, qr/no rule of auth_hba_file fits: db=postgres user=peer tls=no/, '... says the log');
	like(attempt($w, 'nobody', ''), qr/login rejected/, 'an unknown user');
};
subtest 'on the Unix socket' => sub {
	is(attempt($w, 'peer', '', $dir), 'peer', 'the map says that we are this user');
	like(attempt($w, 'trusted', '', $dir), qr/unix socket login rejected/, 'but not that one');
};
subtest 'reload' => sub {
	my $mark = $w->log_mark;

	rules('host all all all trust');
	$w->reload;
	is(attempt($w, 'peer', ''), 'peer', 'new rules count');
	rules('host all all all trust', 'host all all nonsense md5');
	$w->signal('HUP');
	$w->wait_log(qr{\Q$dir\E/hba.conf:2: address "nonsense": not an IP address}, $mark);
	is(attempt($w, 'peer', ''), 'peer', 'bad ones leave the old state');
	my ($code, $said) = sidecar($pg, start => 0, settings => {auth_type => 'hba', auth_hba_file => "$dir/hba.conf"})->start_fails;
	is($code, 1, 'at the start they are fatal');
	like($said, qr{hba.conf:2: address "nonsense"}, '... with file and line');
};
subtest 'certificates' => sub {
	my @ec = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');
	my $openssl = sub { my ($status, undef, $err) = PgweirTest::run_program(['openssl', @_]); die $err if $status; };

	$openssl->('req', '-x509', @ec, '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt", '-days', 9, '-subj', '/CN=authority');
	for my $name (qw(server trusted stranger))
	{
		$openssl->('req', @ec, '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr", '-subj', "/CN=$name");
		$openssl->('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', 9, '-out', "$dir/$name.crt");
		chmod 0600, "$dir/$name.key";
	}
	rules('hostssl all trusted all cert', 'hostssl all peer all cert map=m', 'hostssl all scram all scram-sha-256 clientcert=verify-ca', 'hostssl all md all md5 clientcert=verify-full', 'hostnossl all clear all password');
	maps('m /^stra(.*)$ peer');
	my $v = sidecar($pg, auth => \%password, settings => {auth_type => 'hba', auth_hba_file => "$dir/hba.conf", auth_ident_file => "$dir/ident.conf", client_tls_sslmode => 'prefer',
		client_tls_cert_file => "$dir/server.crt", client_tls_key_file => "$dir/server.key", client_tls_ca_file => "$dir/ca.crt"});
	my $with = sub { my ($user, $cert, $password) = @_; return attempt($v, $user . ($cert ? " sslmode=require sslcert=$dir/$cert.crt sslkey=$dir/$cert.key" : ' sslmode=require'), $password // ''); };

	is($with->('trusted', 'trusted'), 'trusted', 'cert: the name is the user\'s');
	like($with->('trusted', 'stranger'), qr/certificate authentication failed/, '... another is not');
	like($with->('trusted', ''), qr/certificate authentication failed/, '... and none neither');
	is($with->('peer', 'stranger'), 'peer', 'cert with a map');
	like($with->('peer', 'trusted'), qr/certificate authentication failed/, '... that has no such line');
	is($with->('scram', 'stranger', 'pw-scram'), 'scram', 'clientcert=verify-ca: any of ours, and the password');
	like($with->('scram', '', 'pw-scram'), qr/login rejected/, '... not without');
	like($with->('scram', 'stranger', 'wrong'), qr/authentication failed/, '... nor with a wrong password');
	like($with->('md', 'stranger', 'pw-md'), qr/login rejected/, 'clientcert=verify-full wants the user\'s own');
	like($with->('clear', 'trusted', 'pw-clear'), qr/login rejected/, 'hostnossl is not for TLS');
	is(attempt($v, 'clear sslmode=disable', 'pw-clear'), 'clear', '... but for all without');
	rules('host all all all trust');
	my $all = sidecar($pg, auth => \%password, settings => {auth_type => 'cert', client_tls_sslmode => 'verify-full', client_tls_cert_file => "$dir/server.crt", client_tls_key_file => "$dir/server.key", client_tls_ca_file => "$dir/ca.crt"});
	is(attempt($all, "trusted sslmode=require sslcert=$dir/trusted.crt sslkey=$dir/trusted.key", ''), 'trusted', 'auth_type = cert');
	like(attempt($all, "trusted sslmode=require sslcert=$dir/stranger.crt sslkey=$dir/stranger.key", ''), qr/certificate authentication failed/, '... refuses others');
};
done_testing;
