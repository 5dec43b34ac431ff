# The console beside the console of Debian's PgBouncer (1.18), which must be installed: the same commands to both, before the same server.  Where that
# version is older than the one pgweir is like (1.25), the difference is in a table here, with its version.
use PgweirTest;
use PgweirTest::Bouncer;

plan skip_all => 'pgbouncer is not installed' unless PgweirTest::Bouncer::program();
my $pg = server(preload => '');
my %settings = (stats_users => 'watcher', default_pool_size => 3, pool_mode => 'transaction');
my %hosts = (shop => "host=127.0.0.1 port=$pg->{port} dbname=postgres pool_size=2", '*' => "host=127.0.0.1 port=$pg->{port}");
my $w = sidecar($pg, settings => \%settings, databases => {%hosts}, users => {postgres => 'max_user_connections=5'}, auth => {postgres => '', admin => '', watcher => ''});
my $b = PgweirTest::Bouncer->new($pg, %settings);

PgweirTest::write_file("$b->{dir}/users.txt", qq{"postgres" ""\n"admin" ""\n"watcher" ""\n});
PgweirTest::write_file("$b->{dir}/ini", PgweirTest::slurp("$b->{dir}/ini") =~ s/^\* = .*$/join "\n", map { "$_ = $hosts{$_}" } sort keys %hosts/mre . "[users]\npostgres = max_user_connections=5\n");
$b->rows('reload', user => 'admin', dbname => 'pgbouncer');
note('PgBouncer ' . PgweirTest::Bouncer::version());

# Both, in the same state: clients idle, in a transaction, and one that prepared a statement.
my @both = ($w, $b);
my @clients = map { my $one = $_; map { $one->wire(database => 'shop', params => {application_name => "app$_"}) } 1 .. 2 } @both;
$clients[$_]->ask('begin') for 0, 2;
$clients[$_]->ask('select 1') for 1, 3;
my ($admin, $their_admin) = map { $_->wire(user => 'admin', database => 'pgbouncer') } @both;

# Columns with their types, error, notices, tags and rows of a command.
sub answer
{
	my ($c, $sql) = @_;
	my %a = (columns => [], types => {}, rows => [], tags => '', error => '', notices => '');

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
				$a{types}{$name} = "$type $table $number $size $modifier $format";
				$rest = $more;
			}
		}
		elsif ($m->{type} eq 'D') { push @{$a{rows}}, PgWire::row_values($m->{payload}); }
		elsif ($m->{type} eq 'C') { $a{tags} .= substr($m->{payload}, 0, -1) . ';'; }
		elsif ($m->{type} eq 'E') { my $f = PgWire::error_fields($m->{payload}); $a{error} = "$f->{S} $f->{C} $f->{M}"; }
		elsif ($m->{type} eq 'N') { my $f = PgWire::error_fields($m->{payload}); $a{notices} .= "$f->{S} $f->{C} $f->{M};"; }
		elsif ($m->{type} eq 'Z') { $a{status} = $m->{payload}; last; }
	}
	return \%a;
}

# --- columns: theirs are ours, in their order and of their types, with those that later versions put in between ---
my %renamed = (reserve_pool => 'reserve_pool_size');
for my $show (qw(version state config databases users pools clients servers sockets active_sockets lists mem stats stats_totals stats_averages totals dns_hosts dns_zones fds peers peer_pools))
{
	my ($ours, $theirs) = map { answer($_, "show $show") } $admin, $their_admin;

	if ($theirs->{error}) { note("SHOW $show is not in this PgBouncer: $theirs->{error}"); next; }
	$theirs->{columns} = [map { my $new = $renamed{$_} // $_; $theirs->{types}{$new} = delete $theirs->{types}{$_}; $new } @{$theirs->{columns}}];
	my %ours = map { $_ => 1 } @{$ours->{columns}};
	my @common = grep { $ours{$_} } @{$theirs->{columns}};
	my %theirs = map { $_ => 1 } @{$theirs->{columns}};
	is("@{[grep { !$ours{$_} } @{$theirs->{columns}}]}", '', "SHOW $show has every column of PgBouncer's");
	is("@{[grep { $theirs{$_} } @{$ours->{columns}}]}", "@common", '... in the same order');
	is_deeply({map { $_ => $ours->{types}{$_} } @common}, {map { $_ => $theirs->{types}{$_} } @common}, '... described in the same way');
	is("$ours->{tags} $ours->{status}", "$theirs->{tags} $theirs->{status}", '... with the same end');
	note("SHOW $show: " . scalar(@common) . ' columns compared, ' . (@{$ours->{columns}} - @common) . ' newer');
}

# --- rows whose names are a vocabulary ---
for (['config', 'key'], ['lists', 'list'], ['state', 'key'])
{
	my ($show, $column) = @$_;
	my ($ours, $theirs) = map { my $a = answer($_, "show $show"); [map { $_->[0] } @{$a->{rows}}] } $admin, $their_admin;
	my %ours = map { $_ => 1 } @$ours;

	is_deeply([grep { !$ours{$_} } @$theirs], [], "SHOW $show: every $column of PgBouncer's is there");
}
my %defaults = map { $_->[0] => $_->[2] } @{answer($admin, 'show config')->{rows}};
my %newer = (
	# key => the default that a later version gave it
	max_prepared_statements => 1, server_tls_sslmode => 1, server_tls_ciphers => 1, client_tls_ciphers => 1, auth_query => 1, tcp_defer_accept => 1, server_check_query => 1);
is_deeply(
	[map { my ($key, undef, $default) = @$_; my $ours = $defaults{$key}; $newer{$key} || ($ours // '(null)') eq ($default // '(null)') ? () : "$key: " . ($ours // '(null)') . ', theirs ' . ($default // '(null)') }
		grep { exists $defaults{$_->[0]} } @{answer($their_admin, 'show config')->{rows}}],
	[], 'SHOW CONFIG: the defaults are the same');

# --- commands: the same tags and error texts, in turn on both ---
$_->ask('commit') for @clients;
for my $sql (
	'show nothing', 'nonsense', '', ';', 'show', 'show version; show version', 'pause nobody_here', 'pause pgbouncer', 'resume', 'resume nobody_here', 'resume shop', 'resume pgbouncer', 'pause', 'pause', 'pause shop', 'suspend',
	'kill shop', 'resume', 'pause shop', 'resume shop', 'disable', 'enable', 'disable pgbouncer', 'disable shop', 'enable shop', 'reconnect', 'reconnect shop', 'reconnect pgbouncer', 'wait_close pgbouncer',
	'set default_pool_size = 4', "set default_pool_size = '5'", 'set no_such_key = 1', "set pool_mode = 'nonsense'", 'set listen_port = 1', 'set client_encoding = utf8', 'show client_encoding',
	'show datestyle', 'show timezone', 'show standard_conforming_strings', 'show default_transaction_isolation', 'select version', 'reload', 'kill pgbouncer', 'shutdown nonsense', 'suspend', 'resume')
{
	my ($ours, $theirs) = map { answer($_, $sql) } $admin, $their_admin;

	is("$ours->{tags}$ours->{error}$ours->{notices}", "$theirs->{tags}$theirs->{error}$theirs->{notices}", "console: $sql");
}

# --- who may what ---
my ($watcher, $their_watcher) = map { $_->wire(user => 'watcher', database => 'pgbouncer') } @both;
for my $sql ('show version', 'show fds', 'pause', 'reload', 'set verbose = 1', 'show pools')
{
	my ($ours, $theirs) = map { answer($_, $sql) } $watcher, $their_watcher;

	is("$ours->{tags}$ours->{error}", "$theirs->{tags}$theirs->{error}", "console of a stats user: $sql");
}

# --- what clients hear ---
sub heard { my ($to, %o) = @_; my $f = $to->wire(may_fail => 1, %o)->{failed} // {S => '-', C => '-', M => 'welcome'}; return "$f->{S} $f->{C} $f->{M}"; }
for (
	['an unknown user', user => 'stranger'], ['an unknown startup parameter', params => {no_such => 1}], ['the console for anybody', database => 'pgbouncer'],
	['a database the server lacks', database => 'no_such_database'])
{
	my ($name, %o) = @$_;

	# later versions pass the server's SQLSTATE on; a refused login has PostgreSQL's own
	is(heard($w, %o) =~ s/ (?:3D000|28000|28P01) / 08P01 /r, heard($b, %o), "refused: $name");
}
my @parameters = map { my $p = $_->wire(user => 'admin', database => 'pgbouncer')->{params}; delete $p->{server_version}; $p } @both;
is_deeply($parameters[0], $parameters[1], 'the console reports the same parameters');
@parameters = map { $_->wire(database => 'shop')->{params} } @both;
delete $_->{application_name} for @parameters;
is_deeply($parameters[0], $parameters[1], 'a database reports the same parameters');

# --- the log: the same words after time, process and level ---
for my $one (@both)
{
	my $bare = PgWire->open_socket(port => $one->port);

	close $bare->{socket}; # as a balancer looks whether somebody listens
	for my $signal (qw(USR1 USR1 USR2 USR2))
	{
		my $log = $one == $w ? $w->{log} : "$b->{dir}/log";
		my $heard = () = slurp($log) =~ /got SIG$signal/g;

		kill $signal, $one->{pid};
		eventually { (() = slurp($log) =~ /got SIG$signal/g) > $heard } "SIG$signal to be heard";
	}
	$one->wire(may_fail => 1, user => 'nobody_at_all', database => 'shop');
}
sub lines { my ($path) = @_; my %seen; for (split /\n/, slurp($path)) { s/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] // or next; s/0x[0-9a-f]+/0x/g; s/: ?\d+/:N/g; s/age=\d+s/age=Ns/; $seen{$_} = 1; } return \%seen; }
my ($ours, $theirs) = (lines($w->{log}), lines("$b->{dir}/log"));
for my $text (
	'LOG C-0x: shop/postgres@127.0.0.1:N login attempt: db=shop user=postgres tls=no', 'LOG C-0x: pgbouncer/admin@127.0.0.1:N login attempt: db=pgbouncer user=admin tls=no',
	'LOG S-0x: shop/postgres@127.0.0.1:N new connection to server (from 127.0.0.1:N)', '/stranger@127.0.0.1:N closing because:', 'pooler error: unsupported startup parameter: no_such',
	'RELOAD command issued', "ERROR invalid command 'nonsense', use SHOW HELP;",
	"WARNING C-0x: pgbouncer/admin\@127.0.0.1:N pooler error: invalid command 'nonsense', use SHOW HELP;", 'ERROR admin access needed', 'ERROR SET failed',
	'pooler error: already suspended/paused', 'WARNING C-0x: pgbouncer/watcher@127.0.0.1:N pooler error: admin access needed', 'unsupported startup parameter: no_such=1',
	'login attempt: db=postgres user=stranger', 'login attempt: db=shop user=nobody_at_all', 'no such user: nobody_at_all', 'LOG got SIGUSR1, pausing all activity',
	'LOG got SIGUSR1, but already paused/suspended', 'LOG got SIGUSR2, continuing from PAUSE', 'LOG got SIGUSR2, but not paused/suspended',
	'kernel file descriptor limit:N', 'max_client_conn:N, max expected fd use:N')
{
	my ($a, $c) = map { my $lines = $_; (grep { index($_, $text) >= 0 } sort keys %$lines)[0] } $ours, $theirs;

	ok(defined $a && defined $c, "log: $text") or diag join "\n   ", "PgBouncer:", sort(keys %$theirs), 'pgweir:', sort keys %$ours;
}
for ([pgweir => $ours], [PgBouncer => $theirs])
{
	my ($name, $lines) = @$_;

	is_deeply([grep { /\(nodb\)\/\(nouser\).*closing because: client unexpected eof/ } keys %$lines], [], "log: who connects and says nothing is not worth a line, $name");
}
$_->disconnect for @clients;
done_testing;
