# Passwords that somebody else knows: PAM (in a wrapper that keeps the system's out) and an LDAP directory.
use PgweirTest;
use PgweirTest::Sidecar;

my $dir = PgweirTest::new_dir('x');
my $pg = server(preload => '');
$pg->sql("create role $_ login password 'pw-$_'") for qw(alice bob carol dave);

sub attempt
{
	my ($w, $user, $password) = @_;
	my $c = PgWire->connect(port => $w->{port}, user => $user, password => $password, database => 'postgres', may_fail => 1);

	return $c->{failed} ? "$c->{failed}{C} $c->{failed}{M}" : $c->value('select current_user');
}
sub openssl { my ($status, undef, $err) = run_program(['openssl', @_]); die "openssl @_: $err" if $status; return; }
$pg->set_hba('local all all trust', 'host all all 127.0.0.1/32 scram-sha-256');
$pg->reload;

subtest 'PAM' => sub {
	my ($wrapper) = grep { -e } glob '/usr/lib/*/libpam_wrapper.so /usr/lib*/libpam_wrapper.so';
	my ($module) = grep { -e } glob '/usr/lib/*/pam_wrapper/pam_matrix.so /usr/lib*/pam_wrapper/pam_matrix.so';

	plan(skip_all => 'pam_wrapper is not installed (test/deps check)') unless $wrapper && $module;
	mkdir "$dir/pam.d";
	write_file("$dir/pam.d/$_", "auth required $module passdb=$dir/passdb\naccount required $module passdb=$dir/passdb\n") for qw(pgbouncer special);
	write_file("$dir/passdb", "alice:pw-alice:pgbouncer\nbob:pw-bob:special\n");
	# a sanitizer that the program is linked with wants to be the first
	my ($sanitizer) = `ldd '@{[PgweirTest::Sidecar::program()]}'` =~ m{(/\S*/lib[at]san\.so\S*)};
	local $ENV{LD_PRELOAD} = join ':', grep { defined } $sanitizer, $wrapper;
	local $ENV{PAM_WRAPPER} = 1;
	local $ENV{PAM_WRAPPER_SERVICE_DIR} = "$dir/pam.d";
	local $ENV{PAM_MATRIX_PASSWD} = "$dir/passdb";
	my $w = sidecar($pg, settings => {auth_type => 'pam'});
	delete $ENV{LD_PRELOAD};

	is(attempt($w, 'alice', 'pw-alice'), 'alice', 'who PAM knows gets in, and the password is good for the server too');
	is(attempt($w, 'alice', 'wrong'), '28000 PAM authentication failed', 'a wrong password');
	is(attempt($w, 'alice', ''), '28000 PAM authentication failed', 'none');
	is(attempt($w, 'nobody', 'pw'), '28000 PAM authentication failed', 'somebody PAM does not know');
	is(attempt($w, 'bob', 'pw-bob'), '28000 PAM authentication failed', 'who belongs to another service');
	like($w->log, qr/PAM: user "nobody": pam_authenticate: /, 'the log says why');
	$w->set(auth_pam_service => 'special');
	$w->signal('HUP');
	$w->wait_log(qr/auth_pam_service changed/);
	is(attempt($w, 'bob', 'pw-bob'), 'bob', 'the service is a setting');
	write_file("$dir/hba", "host all bob all pam pamservice=pgbouncer\nhost all alice all pam pamservice=pgbouncer\nhost pgbouncer all all trust\n");
	$w->set(auth_type => 'hba', auth_hba_file => "$dir/hba");
	$w->signal('HUP');
	$w->wait_log(qr/auth_type changed from pam to hba/);
	is(attempt($w, 'alice', 'pw-alice'), 'alice', 'by a rule, with a service of its own');
	is(attempt($w, 'bob', 'pw-bob'), '28000 PAM authentication failed', '... which counts');
	my @at_once = map { my $c = PgWire->open_socket(port => $w->{port}); $c->send(PgWire::startup(user => 'alice', database => 'postgres')); $c } 1 .. 50;
	$_->log_in(user => 'alice', password => 'pw-alice') for @at_once;
	is(scalar(grep { !$_->{failed} } @at_once), 50, 'fifty at once');
	unlike($w->log, qr/pw-/, 'no password in the log');
	ok($w->alive, 'the sidecar lives');
};

# --- a directory of our own ---

my ($slapd) = grep { -x } '/usr/sbin/slapd', '/usr/lib/openldap/slapd', '/usr/libexec/slapd';
my ($schema) = grep { -e "$_/core.schema" } '/etc/ldap/schema', '/etc/openldap/schema';
my ($modules) = grep { -d } '/usr/lib/ldap', '/usr/lib/openldap', '/usr/lib64/openldap';
my $base = 'dc=example,dc=net';
my ($port, $tls_port) = (free_port(), free_port());

{
	package Directory;
	sub end { my ($self) = @_; kill 'TERM', $self->{pid}; PgweirTest::reap($self->{pid}) // kill('KILL', $self->{pid}); return; }
}
sub start_directory
{
	my @ec = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');
	my $ldif = "dn: $base\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example\n\n";

	openssl('req', '-x509', @ec, '-keyout', "$dir/ldap.key", '-out', "$dir/ldap.crt", '-days', 9, '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
	$ldif .= "dn: ou=$_,$base\nobjectClass: organizationalUnit\nou: $_\n\n" for qw(people others);
	$ldif .= "dn: uid=$_->[0],ou=$_->[1],$base\nobjectClass: inetOrgPerson\nuid: $_->[0]\ncn: $_->[0]\nsn: x\nmail: $_->[0]\@example.net\nuserPassword: pw-$_->[0]\n\n"
	  for ['alice', 'people'], ['bob', 'people'], ['carol', 'people'], ['carol', 'others'];
	mkdir "$dir/ldap";
	write_file("$dir/slapd.conf", join '', map { "$_\n" } map({ "include $schema/$_.schema" } qw(core cosine inetorgperson)), "pidfile $dir/slapd.pid", "modulepath $modules", 'moduleload back_mdb',
		"TLSCertificateFile $dir/ldap.crt", "TLSCertificateKeyFile $dir/ldap.key", 'database mdb', "directory $dir/ldap", "suffix \"$base\"", "rootdn \"cn=Manager,$base\"", 'rootpw manager-secret',
		'access to attrs=userPassword by anonymous auth', 'access to * by * read');
	write_file("$dir/ldif", $ldif);
	my ($status, $out, $err) = run_program([$slapd, '-Tadd', '-f', "$dir/slapd.conf", '-l', "$dir/ldif"]);
	die "slapadd: $out$err" if $status;
	my $pid = PgweirTest::spawn([$slapd, '-d', 0, '-f', "$dir/slapd.conf", '-h', "ldap://127.0.0.1:$port ldaps://127.0.0.1:$tls_port"], "$dir/slapd.log");
	PgweirTest::register(bless {pid => $pid}, 'Directory');
	PgweirTest::wait_for_port($port, sub { kill 0, $pid }) or die 'slapd did not start: ' . slurp("$dir/slapd.log");
	return;
}

subtest 'LDAP' => sub {
	plan(skip_all => 'slapd is not installed (test/deps check)') unless $slapd && $schema && $modules;
	start_directory();
	local $ENV{LDAPTLS_CACERT} = "$dir/ldap.crt";
	my $server = "ldapserver=127.0.0.1 ldapport=$port";
	my $w = sidecar($pg, settings => {auth_type => 'ldap', auth_ldap_options => qq{$server ldapprefix="uid=" ldapsuffix=",ou=people,$base"}});
	my $failed = '28000 LDAP authentication failed';
	# by a rule for each user; the console is for us
	my $rule = sub {
		my (@options) = @_;
		my $mark = $w->log_mark;

		write_file("$dir/hba", join '', map { "host all all 127.0.0.1/32 ldap $_\n" } @options);
		$w->set(auth_type => 'hba', auth_hba_file => "$dir/hba");
		$w->signal('HUP');
		$w->wait_log(qr/re-reading config/, $mark);
		return $w;
	};

	is(attempt($w, 'alice', 'pw-alice'), 'alice', 'prefix and suffix: who the directory knows gets in, and the password is good for the server too');
	is(attempt($w, 'alice', 'pw-bob'), $failed, '... not with a wrong password');
	is(attempt($w, 'alice', ''), $failed, '... nor with none, which the directory would take');
	is(attempt($w, 'dave', 'pw-dave'), $failed, '... nor somebody it does not know');
	is(attempt($w, 'alice,ou=people', 'pw-alice'), $failed, '... nor under a name that is more than a name');
	like($w->log, qr/LDAP: user "alice": bind: Invalid credentials/, 'the log says why');
	for my $case (['search', qq{$server ldapbasedn="$base"}], ['search by an attribute', qq{$server ldapbasedn="$base" ldapsearchattribute=cn}],
		['search with a bind', qq{$server ldapbasedn="$base" ldapbinddn="cn=Manager,$base" ldapbindpasswd="manager-secret"}],
		['search by a filter', qq{$server ldapbasedn="$base" ldapsearchfilter="(|(mail=\$username)(uid=\$username))"}],
		['a URL', qq{ldapurl="ldap://127.0.0.1:$port/ou=people,$base?uid?one"}],
		['a URL with TLS', qq{ldapurl="ldaps://127.0.0.1:$tls_port/$base?uid?sub"}],
		['StartTLS', qq{$server ldaptls=1 ldapbasedn="$base"}],
		['the second of two servers', qq{ldapserver="127.0.0.1:9 127.0.0.1" ldapport=$port ldapbasedn="$base"}])
	{
		my ($name, $options) = @$case;

		$options =~ s/127\.0\.0\.1:9 //, $options = qq{ldapserver="127.0.0.2 127.0.0.1" ldapport=$port ldapbasedn="$base"} if $name =~ /second/;
		$rule->($options);
		is(attempt($w, 'alice', 'pw-alice'), 'alice', $name) or diag($w->log);
		is(attempt($w, 'alice', 'wrong'), $failed, '... not with a wrong password');
	}
	$rule->(qq{$server ldapbasedn="$base"});
	is(attempt($w, 'carol', 'pw-carol'), $failed, 'two entries of one name are none');
	like($w->log, qr/several entries found/, '... says the log');
	is(attempt($w, '*', 'pw-alice'), $failed, 'no name is taken for a pattern');
	is(attempt($w, 'ali(ce', 'pw-alice'), $failed, '... nor for a filter');
	$rule->(qq{$server ldapbasedn="$base" ldapbinddn="cn=Manager,$base" ldapbindpasswd="not it"});
	is(attempt($w, 'alice', 'pw-alice'), $failed, 'a search that may not be made');
	like($w->log, qr/bind for the search: Invalid credentials/, '... says so');
	delete $ENV{LDAPTLS_CACERT};
	$rule->('ldapserver=127.0.0.1 ldapport=' . free_port() . qq{ ldapbasedn="$base"});
	is(attempt($w, 'alice', 'pw-alice'), $failed, 'a directory that is not there');
	unlike($w->log, qr/pw-|manager-secret|not it/, 'no password in the log');

	# as PostgreSQL says it
	$pg->set_hba('local all all trust', qq{host all all 127.0.0.1/32 ldap $server ldapbasedn="$base"});
	$pg->reload;
	is(attempt($pg, 'alice', 'pw-alice'), 'alice', 'PostgreSQL with the same rule lets in');
	like(attempt($pg, 'alice', 'wrong'), qr/^28000 LDAP authentication failed for user "alice"/, '... and refuses with the same code');
	$pg->set_hba('local all all trust', 'host all all 127.0.0.1/32 scram-sha-256');
	$pg->reload;
};
subtest 'a directory that does not answer holds nobody up' => sub {
	my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, Proto => 'tcp') or die $!;

	plan(skip_all => 'this build has no LDAP') unless $slapd;
	write_file("$dir/hba2", "host all bob all scram-sha-256\nhost pgbouncer admin all trust\nhost all all all ldap ldapserver=127.0.0.1 ldapport=" . $mute->sockport . " ldapbasedn=x\n");
	my $stuck = sub { my ($w) = @_; return map { my $c = PgWire->open_socket(port => $w->{port}); $c->send(PgWire::startup(user => 'alice', database => 'postgres'), PgWire::message('p', "pw-alice\0")); $c } 1 .. 40; };
	my $w = sidecar($pg, auth => {bob => 'pw-bob'}, settings => {auth_type => 'hba', auth_hba_file => "$dir/hba2", client_login_timeout => 600});
	my @stuck = $stuck->($w);

	$_->next_message for @stuck; # they are asked for the password
	my $bob = PgWire->connect(port => $w->{port}, user => 'bob', password => 'pw-bob', database => 'postgres');
	is($bob->value('select 1'), 1, 'others log in and work, also with a key derivation');
	my ($waiting) = grep { $_->{list} eq 'login_clients' } @{$w->console('show lists')};
	is($waiting->{items}, 40, '... while forty wait for the directory');
	my $hasty = sidecar($pg, auth => {bob => 'pw-bob'}, settings => {auth_type => 'hba', auth_hba_file => "$dir/hba2", client_login_timeout => 3});
	my %said;
	$said{$_->until_ready->{error}{M} // ''}++ for $stuck->($hasty);
	is($said{client_login_timeout}, 40, 'those are sent away by client_login_timeout');
	is($bob->value('select 2'), 2, 'and all goes on');
};
subtest 'options that cannot be meant' => sub {
	plan(skip_all => 'this build has no LDAP') unless $slapd;
	for my $case (['ldapbasedn=x', qr/ldapserver or a host in ldapurl is missing/], ['ldapserver=a', qr/ldapbasedn, ldapprefix or ldapsuffix is missing/],
		['ldapserver=a ldapprefix=b ldapbasedn=c', qr/nothing that is for a search can stand beside/], ['ldapserver=a ldapbasedn=c ldaptls=maybe', qr/ldaptls: must be 0 or 1/],
		['ldapserver=a ldapbasedn=c ldapport=70000', qr/ldapport: must be between 1 and 65535/], ['ldapserver=a ldapscheme=http', qr/ldapscheme: must be ldap or ldaps/],
		['ldapurl=http://x/', qr/ldapurl: must begin with ldap:/], ['ldapurl=ldap://a/b?c?d', qr/the scope must be base, one or sub/], ['ldapurl=ldap://a/b%0', qr/two hexadecimal digits/],
		['ldapserver=a ldapbasedn=c ldapsearchattribute=u ldapsearchfilter=f', qr/exclude each other/], ['ldapserver=a ldapbasedn=c nonsense=1', qr/option "nonsense=1" is unknown/])
	{
		my ($options, $said) = @$case;

		write_file("$dir/bad", "# rules\nhost all all all ldap $options\n");
		my ($code, $log) = sidecar($pg, start => 0, settings => {auth_type => 'hba', auth_hba_file => "$dir/bad"})->start_fails;
		is($code, 1, "$options: refused");
		like($log, qr{\Q$dir\E/bad:2: .*$said}, '... with file, line and reason');
	}
	my ($code, $log) = sidecar($pg, start => 0, settings => {auth_type => 'ldap'})->start_fails;
	like($log, qr/auth_type = ldap needs auth_ldap_options/, 'ldap without options');
	($code, $log) = sidecar($pg, start => 0, settings => {auth_type => 'ldap', auth_ldap_options => 'ldapserver="a'})->start_fails;
	like($log, qr/auth_ldap_options: a quote is not closed/, 'options with half a quote');
};
done_testing;
