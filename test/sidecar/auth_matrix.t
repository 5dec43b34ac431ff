# Who gets in: every way to log in to the sidecar, before every way the server asks, with and without TLS on each side, with the right
# and a wrong credential, with secrets kept in clear and as the server keeps them.  What a client hears is what PostgreSQL says to the
# same client with the same rule: the same test asks it.
use PgweirTest;

my $dir = PgweirTest::new_dir('m');
my @methods = qw(trust password md5 scram cert);
my @kinds = qw(clear stored);	# how the auth file keeps the secret of the user
my @users = map { my $kind = $_; map { "${kind}_$_" } @methods } @kinds;

sub openssl { my ($status, undef, $err) = run_program(['openssl', @_]); die "openssl @_: $err" if $status; return; }
my @ec = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');
openssl('req', '-x509', @ec, '-keyout', "$dir/ca.key", '-out', "$dir/ca.crt", '-days', 9, '-subj', '/CN=authority');
for my $name (qw(server client stranger sidecar))
{
	openssl('req', @ec, '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr", '-subj', "/CN=$name");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', 9, '-out', "$dir/$name.crt");
	chmod 0600, "$dir/$name.key";
}

# The databases tell how clients log in, here and there; the users tell how the server asks in database postgres.
my %rule = (trust => 'trust', password => 'password', md5 => 'md5', scram => 'scram-sha-256', cert => 'cert map=client');
my @by_database = map { ($_ eq 'cert' ? 'hostssl' : 'host') . " by_$_ all 127.0.0.1/32 $rule{$_}" } @methods;
my @maps = map { "client client $_" } @users;
my $pg = server(preload => '', conf => {max_connections => 300, ssl => 'on', ssl_cert_file => "$dir/server.crt", ssl_key_file => "$dir/server.key", ssl_ca_file => "$dir/ca.crt"});
my @sql;
for my $user (@users)
{
	my ($server_asks) = $user =~ /_(.*)/;

	push @sql, 'set password_encryption = ' . ($server_asks eq 'md5' ? "'md5'" : "'scram-sha-256'") . "; create role $user login password 'pw-$user';";
}
$pg->sql("@sql");
$pg->sql("create database by_$_ template template0") for @methods;
my %stored = map { split /\|/, $_, 2 } split /\n/, $pg->sql('select rolname, rolpassword from pg_authid where rolpassword is not null');
write_file("$pg->{data}/pg_ident.conf", join '', map { "$_\n" } @maps, map { "server sidecar $_" } @users);
$pg->set_hba(@by_database, map({ my ($asks) = /_(.*)/; ($asks eq 'cert' ? 'hostssl' : 'host') . " postgres $_ 127.0.0.1/32 " . ($rule{$asks} =~ s/client/server/r) } @users));
$pg->reload;

write_file("$dir/hba", join '', map { "$_\n" } @by_database, 'host pgbouncer admin 127.0.0.1/32 trust');
write_file("$dir/ident", join '', map { "$_\n" } @maps);
my %sidecar = map {
	$_ => sidecar($pg, databases => {map { ("by_$_" => 'dbname=postgres') } @methods}, auth => {map { ($_ => /^stored/ ? $stored{$_} : "pw-$_") } @users},
		settings => {auth_type => 'hba', auth_hba_file => "$dir/hba", auth_ident_file => "$dir/ident", server_login_retry => 0, default_pool_size => 2, max_client_conn => 200,
			client_tls_sslmode => 'prefer', client_tls_cert_file => "$dir/server.crt", client_tls_key_file => "$dir/server.key", client_tls_ca_file => "$dir/ca.crt",
			server_tls_sslmode => $_ eq 'tls' ? 'require' : 'disable', server_tls_cert_file => "$dir/sidecar.crt", server_tls_key_file => "$dir/sidecar.key"})
} qw(plain tls);

# --- asking ---

my $program = "$dir/connect_many";
{
	my $flags = `pkg-config --cflags --libs libpq`;
	my ($status, $out, $err) = run_program(['sh', '-c', ($ENV{CC} // 'cc') . " -O1 -o $program " . PgweirTest::top() . "/test/lib/connect_many.c $flags"]);
	die "$out$err" if $status;
}

sub conninfo
{
	my ($port, $method, $user, $tls, $right) = @_;
	my $cert = $right ? 'client' : 'stranger';
	my $text = "host=127.0.0.1 port=$port user=$user dbname=by_$method connect_timeout=100 password=" . ($right ? "pw-$user" : 'wrong');

	return "$text sslmode=disable" unless $tls eq 'tls';
	return "$text sslmode=require sslcert=$dir/$cert.crt sslkey=$dir/$cert.key";
}

sub ask
{
	my ($port, @cases) = @_;
	my ($status, $out, $err) = run_program([$program, 16], stdin => join('', map { conninfo($port, @$_) . "\n" } @cases), timeout => 300);

	die $err if $status;
	return map { my ($state, $text) = split / /, $_, 2; [$state, $text] } split /\n/, $out;
}

# --- expecting ---

my %direct;	# what PostgreSQL itself says: {method}{user}{tls}{right}
my @all = map { my $m = $_; map { my $u = $_; map { my $t = $_; map { [$m, $u, $t, $_] } 1, 0 } qw(plain tls) } @users, 'nobody' } @methods;
{
	my @answers = ask($pg->{port}, @all);

	$direct{$all[$_][0]}{$all[$_][1]}{$all[$_][2]}{$all[$_][3]} = $answers[$_][0] for 0 .. $#all;
}

# Can the sidecar prove to the server that it is this user, after such a login?
sub server_says
{
	my ($method, $user, $server_tls) = @_;
	my ($kind, $asks) = $user =~ /(.*)_(.*)/;

	return $server_tls eq 'tls' ? 'ok' : '28000' if $asks eq 'cert';
	return 'ok' if $asks eq 'trust' || $kind eq 'clear' || $method eq 'password';
	return $asks eq 'md5' ? 'ok' : '28P01' unless $asks eq 'scram';
	return $method eq 'scram' || $method eq 'md5' ? 'ok' : '28P01';	# with the keys of the client's own proof
}

sub expected
{
	my ($method, $user, $client_tls, $server_tls, $right) = @_;
	my $as = $method eq 'scram' && $user eq 'clear_md5' ? 'clear_scram' : $user;	# a password in clear is good for SCRAM; the server has only its md5
	my $client = $direct{$method}{$as}{$client_tls}{$right};

	return $client ne 'ok' || $user eq 'nobody' ? $client : server_says($method, $user, $server_tls);
}

my ($cases, %outcomes) = (0);
# What a login leaves behind helps later ones of the same user: those that leave nothing come first.
for my $method (qw(trust cert md5 scram password))
{
	subtest "clients log in by $method" => sub {
		for my $server_tls (qw(plain tls))
		{
			my @asked = grep { $_->[0] eq $method } @all;
			my @answers = ask($sidecar{$server_tls}{port}, @asked);

			for my $i (0 .. $#asked)
			{
				my (undef, $user, $client_tls, $right) = @{$asked[$i]};
				my $want = expected($method, $user, $client_tls, $server_tls, $right);
				my ($got, $text) = @{$answers[$i]};
				my $name = "$user, client $client_tls, server $server_tls, " . ($right ? 'right' : 'wrong') . ": $want";

				# of several logins that wait for the same server all but the first may hear the pooler's own words about the same refusal
				$got = $want if $got eq '08P01' && $direct{$method}{$user}{$client_tls}{$right} eq 'ok' && $text =~ /^server login has been failing, cached error: (?:bouncer config error|no pg_hba.conf entry)/;
				$cases++;
				$outcomes{$want}++;
				is($got, $want, $name) or diag($text);
				is($text, $user, '... as that user') if $want eq 'ok' && $got eq 'ok';
			}
		}
	};
}
subtest 'what was tested' => sub {
	cmp_ok($outcomes{$_} // 0, '>', 40, "$_ was expected " . ($outcomes{$_} // 0) . ' times') for qw(ok 28P01 28000);
	is($cases, 5 * 11 * 2 * 2 * 2, 'the matrix is complete');
	my %said = map { $_ => 1 } map { values %$_ } map { values %$_ } map { values %$_ } values %direct;
	is(join(' ', sort keys %said), '28000 28P01 ok', 'PostgreSQL itself says nothing else');
	note("$cases cases: " . join ', ', map { "$outcomes{$_} $_" } sort keys %outcomes);
	unlike($_->log, qr/pw-|SCRAM-SHA-256\$|md5[0-9a-f]{32}/, 'no secret in the log') for values %sidecar;
};
done_testing;
