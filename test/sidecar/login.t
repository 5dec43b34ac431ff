# Who gets in: every way a client logs in, before every way the server asks.
use PgweirTest;

my $pg = server(preload => '', hba => ['host all trusted 127.0.0.1/32 trust', 'host all plainly 127.0.0.1/32 password', 'host all md5ly 127.0.0.1/32 md5', 'host all all 127.0.0.1/32 scram-sha-256'], start => 0);
$pg->set_hba('host all all 127.0.0.1/32 trust');
$pg->start;
$pg->sql("create role trusted login; create role plainly login password 'pw1'; set password_encryption = 'md5'; create role md5ly login password 'pw2'; set password_encryption = 'scram-sha-256'; create role scramly login password 'pw3'");
my %stored = map { split /\|/, $_, 2 } split /\n/, $pg->sql("select rolname, coalesce(rolpassword, '') from pg_authid where rolname in ('trusted', 'plainly', 'md5ly', 'scramly')");
$pg->set_hba('host all trusted 127.0.0.1/32 trust', 'host all plainly 127.0.0.1/32 password', 'host all md5ly 127.0.0.1/32 md5', 'host all all 127.0.0.1/32 scram-sha-256');
$pg->reload;
my %password = (trusted => 'pw0', plainly => 'pw1', md5ly => 'pw2', scramly => 'pw3');

sub attempt
{
	my ($w, $user, $password) = @_;
	my ($status, $out, $err) = PgweirTest::run_program(['psql', '-XAtq', '-d', "host=127.0.0.1 port=$w->{port} user=$user dbname=postgres connect_timeout=100", '-c', 'select current_user'], env => {PGPASSWORD => $password});

	return $status == 0 ? $out =~ s/\s+$//r : $err;
}

for my $method (qw(plain md5 scram-sha-256))
{
	subtest "clients log in with $method, secrets in clear in the auth file" => sub {
		my $w = sidecar($pg, settings => {auth_type => $method}, auth => \%password);

		is(attempt($w, $_, $password{$_}), $_, "$_ gets through") for sort keys %password;
		like(attempt($w, $_, 'wrong'), qr/authentication failed/, "$_ with a wrong password does not") for sort keys %password;
		my $unknown = attempt($w, 'nobody', 'pw');
		my $wrong = attempt($w, 'scramly', 'wrong');
		is($unknown =~ s/.*FATAL/FATAL/sr, $wrong =~ s/.*FATAL/FATAL/sr, 'an unknown user hears the same as a wrong password');
		unlike($w->log, qr/pw[0-3]/, 'no password in the log');
	};
}
subtest 'stored secrets as PostgreSQL keeps them' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'md5'}, auth => {md5ly => $stored{md5ly}, scramly => $stored{scramly}});

	is(attempt($w, 'md5ly', 'pw2'), 'md5ly', 'an md5 secret opens both doors');
	is(attempt($w, 'scramly', 'pw3'), 'scramly', 'a SCRAM secret too: the client\'s own proof is used for the server');
	like(attempt($w, 'md5ly', 'pw3'), qr/authentication failed/, 'a wrong one does not');
	like(attempt($w, 'scramly', 'pw2'), qr/authentication failed/, 'nor here');
	unlike($w->log, qr/SCRAM-SHA-256\$|md5[0-9a-f]{32}/, 'no secret in the log');
};
subtest 'trust' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'trust'}, auth => \%password);

	is(attempt($w, 'scramly', ''), 'scramly', 'a user of the file needs no password');
	like(attempt($w, 'nobody', ''), qr/"trust" authentication failed/, 'one who is not in it stays out');
};
subtest 'any, with a forced user' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'any'}, auth => \%password, databases => {postgres => 'user=scramly password=pw3', open => 'dbname=postgres'});

	is(attempt($w, 'whoever', ''), 'scramly', 'everybody is the forced user');
	like(PgWire->connect(port => $w->{port}, user => 'x', database => 'open', may_fail => 1)->{failed}{M}, qr/bouncer config error/, 'without one it is a configuration error');
};
subtest 'the server refuses' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'trust', server_login_retry => 1}, auth => {scramly => 'not the password', trusted => ''});
	my $c = PgWire->connect(port => $w->{port}, user => 'scramly', database => 'postgres', may_fail => 1);

	is($c->{failed}{C}, '28P01', 'its own SQLSTATE is passed on');
	like($c->{failed}{M}, qr/password authentication failed for user "scramly"/, '... and its words');
	$c = PgWire->connect(port => $w->{port}, user => 'trusted', database => 'nowhere', may_fail => 1);
	is($c->{failed}{C}, '3D000', 'a database the server does not have');
};
subtest 'limits before and at the door' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'md5', client_login_timeout => 1}, auth => \%password);
	my $mute = PgWire->open_socket(port => $w->{port});
	like($mute->until_ready->{error}{M} // '', qr/client_login_timeout/, 'one who says nothing is sent away');
	my ($half, $challenge);
	eventually
	{
		$half = PgWire->open_socket(port => $w->{port});
		$half->send(PgWire::startup(user => 'trusted', database => 'postgres'));
		$challenge = $half->next_message;
		$challenge && $challenge->{type} eq 'R';
	}
	'the challenge in time';
	like($half->until_ready->{error}{M} // '', qr/client_login_timeout/, 'so is one who does not answer the challenge');
	$w = sidecar($pg, settings => {auth_type => 'md5', max_client_conn => 3}, auth => \%password);
	my @in = map { PgWire->connect(port => $w->{port}, user => 'trusted', password => 'pw0', database => 'postgres') } 1 .. 3;
	my $late = PgWire->connect(port => $w->{port}, user => 'trusted', password => 'pw0', database => 'postgres', may_fail => 1);
	is($late->{failed}{M}, 'no more connections allowed (max_client_conn)', 'the house is full');
	$in[0]->disconnect;
	eventually { !PgWire->connect(port => $w->{port}, user => 'trusted', password => 'pw0', database => 'postgres', may_fail => 1)->{failed} } 'a place is free again';
	pass('until somebody leaves');
};
subtest 'garbage' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'md5'}, auth => \%password);
	my $good = PgWire->connect(port => $w->{port}, user => 'trusted', password => 'pw0', database => 'postgres');

	srand 11;
	for my $n (1 .. 200)
	{
		my $s = PgWire->open_socket(port => $w->{port});
		my $bytes = join '', map { chr int rand 256 } 1 .. 1 + rand 200;

		$bytes = substr(PgWire::startup(user => 'trusted', database => 'postgres'), 0, int rand 40) . $bytes if $n % 3 == 0;
		$bytes = PgWire::startup(user => 'trusted', database => 'postgres') . $bytes if $n % 3 == 1;
		$s->send($bytes);
		close $s->{socket};
	}
	for my $n (1 .. 200)
	{
		my $s = PgWire->connect(port => $w->{port}, user => 'trusted', password => 'pw0', database => 'postgres');

		$s->send(substr('QPBDECSXHFdcf', rand 13, 1) . pack('N', rand() < 0.5 ? int rand 100 : int rand 2**32) . join '', map { chr int rand 256 } 1 .. 1 + rand 200);
		close $s->{socket};
	}
	is($good->value('select 1'), 1, 'others are unharmed');
	ok($w->alive, 'the sidecar lives');
};
subtest 'a password file for the forced user' => sub {
	my $dir = PgweirTest::new_dir('f');
	my $file = "$dir/pass";
	my %forced = (databases => {postgres => 'user=scramly', other => 'dbname=postgres user=plainly', third => 'dbname=postgres user=md5ly password=pw2'});

	write_file($file, "# servers\nelsewhere:*:*:*:no\n*:*:postgres:plainly:p\\w1\n127.0.0.1:$pg->{port}:postgres:scramly:pw3\n*:*:*:*:no\n", 0600);
	my $w = sidecar($pg, auth => {x => '', admin => ''}, settings => {server_passfile => $file, server_login_retry => 0}, %forced);
	my $in = sub { my ($db) = @_; my $c = PgWire->connect(port => $w->{port}, user => 'x', database => $db, may_fail => 1); return $c->{failed}{C} if $c->{failed}; my $a = $c->ask('select current_user'); return $a->{error} ? $a->{error}{C} : $a->{rows}[0][0]; };

	is($in->('postgres'), 'scramly', 'the line of host, port, database and user');
	is($in->('other'), 'plainly', 'a line with stars, and a backslash that means nothing');
	is($in->('third'), 'md5ly', 'a password in the entry comes first');
	write_file($file, "*:*:*:scramly:wrong\n", 0600);
	$w->reload;
	$w->console('kill postgres');
	$w->console('resume postgres');
	is($in->('postgres'), '28P01', 'the file is read again on RELOAD');
	my $mark = $w->log_mark;
	write_file($file, "*:*:*:scramly\n", 0600);
	$w->signal('HUP');
	$w->wait_log(qr{\Q$file\E:1: expected host:port:database:user:password}, $mark);
	unlike($w->log, qr/pw[0-3]/, 'no password in the log');
	chmod 0644, $file;
	my ($code, $said) = sidecar($pg, start => 0, settings => {auth_type => 'any', server_passfile => $file}, %forced)->start_fails;
	like($said, qr{\Q$file\E: others can read the password file \(mode 0644\); chmod 0600 would do}, 'one that others can read is refused, as libpq does');
};
subtest 'core dumps' => sub {
	my $filter = sub { my ($w) = @_; return oct('0x' . (slurp('/proc/' . $w->pid . '/coredump_filter') =~ s/\s+$//r)); };
	my $w = sidecar($pg);

	is($filter->($w) & 0xf, 0, 'no memory goes into a core dump');
	is($filter->(sidecar($pg, settings => {core_dump_memory => 1})) & 1, 1, 'unless it is wanted');
};
done_testing;
