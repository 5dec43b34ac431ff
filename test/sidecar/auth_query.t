# Users who are not in the auth file: their secrets come from the server.
use PgweirTest;

my $pg = server(preload => '');
$pg->sql("set password_encryption = 'scram-sha-256'; create role scramly login password 'pw1'; create role fromfile login password 'pw4'; create role nopass login; create role gone login password 'pw5' valid until '2001-01-01'");
$pg->sql("set password_encryption = 'md5'; create role md5ly login password 'pw2'");
$pg->sql("create role asker login superuser password 'pw3'; create role weak login password 'pw6'");
$pg->sql('create database authdb');
$pg->sql(q{create function lookup(name text, out u text, out s text) language sql security definer set search_path = pg_catalog, pg_temp as $$ select rolname::text, rolpassword from pg_authid where rolname = name $$}, dbname => 'authdb');
$pg->set_hba('host all postgres 127.0.0.1/32 trust', 'host all md5ly 127.0.0.1/32 md5', 'host all all 127.0.0.1/32 scram-sha-256');
$pg->reload;

sub attempt
{
	my ($w, $user, $password, $dbname, $sql) = @_;
	my ($status, $out, $err) = PgweirTest::run_program(['psql', '-XAtq', '-d', "host=127.0.0.1 port=$w->{port} user=$user connect_timeout=100 dbname=" . ($dbname // 'postgres'), '-c', $sql // 'select current_user'], env => {PGPASSWORD => $password});

	return $status == 0 ? $out =~ s/\s+$//r : $err;
}
my %auth = (asker => 'pw3', fromfile => 'pw4', weak => 'pw6', admin => 'adm');

for my $method (qw(scram-sha-256 md5))
{
	subtest $method => sub {
		my $w = sidecar($pg, auth => \%auth, settings => {auth_type => $method, auth_user => 'asker', server_tls_sslmode => 'disable'});

		is(attempt($w, 'scramly', 'pw1'), 'scramly', 'a SCRAM secret from the server, and the client\'s own keys back to it');
		like(attempt($w, 'scramly', 'pw2'), qr/authentication failed/, 'a wrong password');
		is(attempt($w, 'md5ly', 'pw2'), 'md5ly', 'an md5 secret') if $method eq 'md5';
		like(attempt($w, 'md5ly', 'pw1'), qr/authentication failed/, 'a wrong password');
		is(attempt($w, 'fromfile', 'pw4'), 'fromfile', 'the auth file comes first');
		like(attempt($w, $_, 'pw5'), qr/authentication failed/, "$_ cannot log in") for qw(nobody nopass gone);
		$pg->sql("alter role scramly password 'new'");
		like(attempt($w, 'scramly', 'pw1'), qr/authentication failed/, 'a changed password counts at once');
		$pg->sql("set password_encryption = 'scram-sha-256'; alter role scramly password 'pw1'");
		is(attempt($w, 'scramly', 'pw1'), 'scramly', '... and again');
		unlike($w->log, qr/SCRAM-SHA-256\$|md5[0-9a-f]{32}|pw[0-9]/, 'no secret in the log');
		my $clients;
		eventually { $clients = attempt($w, 'admin', 'adm', 'pgbouncer', 'show clients'); $clients !~ /asker/ } 'the end of the lookups';
		like($clients, qr/^C\|admin\|pgbouncer\|/m, 'the console tells who is there');
		unlike($clients, qr/asker/, '... and no lookup stays behind');
	};
}
subtest 'another database, another query, another user' => sub {
	my $w = sidecar($pg, auth => \%auth, settings => {auth_type => 'scram-sha-256', auth_user => 'weak', auth_dbname => 'authdb', auth_query => 'select * from lookup($1)'},
		databases => {'*' => '', own => q{dbname=postgres auth_user=asker auth_dbname=postgres auth_query='select rolname, rolpassword from pg_authid where rolname = $1'}, broken => q{dbname=postgres auth_query='select nothing'}, many => q{dbname=postgres auth_query='select $1::text, 2, 3'}});

	is(attempt($w, 'scramly', 'pw1'), 'scramly', 'a function in auth_dbname');
	is(attempt($w, 'scramly', 'pw1', 'own'), 'scramly', 'what the database says comes first');
	like(attempt($w, 'scramly', 'pw1', 'broken'), qr/bouncer config error/, 'a query that fails');
	like($w->log, qr/auth_query for user "scramly" failed: column "nothing" does not exist/, '... is in the log');
	like(attempt($w, 'scramly', 'pw1', 'many'), qr/bouncer config error/, 'a query with other columns');
	like($w->log, qr/auth_query must give two columns/, '... likewise');
	like(attempt($w, 'nobody', 'x'), qr/SASL authentication failed/, 'an unknown user hears what a wrong password does');
};
subtest 'many at once' => sub {
	my $w = sidecar($pg, auth => \%auth, settings => {auth_type => 'plain', auth_user => 'asker', default_pool_size => 2, max_client_conn => 200});
	my @waiting = map { my $c = PgWire->open_socket(port => $w->{port}); $c->send(PgWire::startup(user => $_ % 2 ? 'scramly' : "nobody$_", database => 'postgres')); $c } 1 .. 40;

	close $_->{socket} for splice @waiting, 0, 15;
	is((grep { my $m = $_->next_message; $m && $m->{type} eq 'R' } @waiting), 25, 'all are asked for their passwords, whether they exist or not');
	close $_->{socket} for @waiting;
	is(attempt($w, 'scramly', 'pw1'), 'scramly', 'the next is served');
	ok($w->alive, 'the sidecar lives');
};
subtest 'the server is away' => sub {
	my $w = sidecar($pg, auth => {%auth, asker => 'not the password'}, settings => {auth_type => 'scram-sha-256', auth_user => 'asker'});

	like(attempt($w, 'scramly', 'pw1'), qr/bouncer config error/, 'auth_user cannot log in: the client hears no details');
};
done_testing;
