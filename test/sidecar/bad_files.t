# Files that cannot be read or understood: at the start that is fatal, on RELOAD the old state stays; the message names file, line and reason.
use PgweirTest;

my $dir = PgweirTest::new_dir('b');
my $pg = server(preload => '');
my @ec = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');

sub openssl { my ($status, undef, $err) = run_program(['openssl', @_]); die "openssl @_: $err" if $status; return; }
openssl('req', '-x509', @ec, '-keyout', "$dir/$_.key", '-out', "$dir/$_.crt", '-days', 9, '-subj', "/CN=$_") for qw(server other);
openssl('pkey', '-in', "$dir/server.key", '-aes128', '-passout', 'pass:x', '-out', "$dir/locked.key");
chmod 0600, glob "$dir/*.key";

my %good = (users => qq{"postgres" "secret"\n"admin" "secret"\n}, hba => "host all all all md5\n", ident => "m a b\n", crt => slurp("$dir/server.crt"), key => slurp("$dir/server.key"), ca => slurp("$dir/server.crt"));
my %setting = (users => 'auth_file', hba => 'auth_hba_file', ident => 'auth_ident_file', crt => 'client_tls_cert_file', key => 'client_tls_key_file', ca => 'client_tls_ca_file');

# kind of file, name of the case, content (undef: there is none; a reference: done to the good file), what is said behind the file's name
my @cases = (
	[users => 'no file', undef, qr/: could not read the auth file: No such file or directory/],
	[users => 'unreadable', sub { chmod 0, $_[0] }, qr/: could not read the auth file: Permission denied/],
	[users => 'a directory', sub { unlink $_[0]; mkdir $_[0] }, qr/: could not read the auth file: Is a directory/],
	[users => 'no quotes', "\"a\" \"b\"\npostgres secret\n", qr/:2: broken auth file: expected "user" "secret"/],
	[users => 'half a line', qq{"postgres"\n}, qr/:1: broken auth file: expected "user" "secret"/],
	[users => 'an open quote', qq{"a" "b"\n\n; text\n"postgres" "secret\n}, qr/:4: broken auth file/],
	[users => 'an empty name', qq{"" "secret"\n}, qr/:1: broken auth file: the user name is empty/],
	[users => 'a zero byte', qq{"postgres" "sec\0ret"\n}, qr/: could not read the auth file: it holds a zero byte and is no text file/],
	[hba => 'no file', undef, qr/: could not read the file: No such file or directory/],
	[hba => 'unreadable', sub { chmod 0, $_[0] }, qr/: could not read the file: Permission denied/],
	[hba => 'an unknown kind of line', "# text\nhosts all all all md5\n", qr/:2: "hosts": expected local, host, hostssl, hostnossl or include/],
	[hba => 'a line that ends early', "host all all all md5\nhost all all\n", qr/:2: the line ends too early/],
	[hba => 'an unknown method', "host all all all kerberos\n", qr/:1: unknown method "kerberos"/],
	[hba => 'a bad address', "host all all 10.0.0.1/33 md5\n", qr{:1: address "10.0.0.1/33": bad number of bits}],
	[hba => 'no mask', "host all all 10.0.0.1 md5\n", qr/:1: address "10.0.0.1": a mask is missing/],
	[hba => 'a host name', "host all all db.example.net md5\n", qr/:1: address "db.example.net": not an IP address; host names are not supported/],
	[hba => 'a bad pattern', "host all /( all md5\n", qr/:1: pattern "\(": /],
	[hba => 'a group', "host all +staff all md5\n", qr/:1: \+staff: groups are not supported, since only the server knows/],
	[hba => 'peer for TCP', "host all all all peer\n", qr/:1: method peer is for local lines only/],
	[hba => 'cert without TLS', "host all all all cert\n", qr/:1: method cert is for hostssl lines only/],
	[hba => 'an unknown option', "host all all all md5 nonsense=1\n", qr/:1: option "nonsense=1" is unknown, or does not fit here/],
	[hba => 'an open quote', "host all \"all all md5\n", qr/:1: a quote is not closed/],
	[hba => 'a continued line', "host all all \\\nall \\\nnonsense\n", qr/:1: unknown method "nonsense"/],
	[hba => 'an include that is not there', "include nowhere.conf\n", qr{:1: could not read "\Q$dir\E/nowhere.conf": No such file}],
	[hba => 'an error in an included file', sub { write_file("$dir/more.conf", "\n\nnonsense\n"); write_file($_[0], "include more.conf\n") }, qr{^\Q$dir\E/more.conf:3: "nonsense": expected local}],
	[hba => 'a file that includes itself', "include hba\n", qr/:1: could not read "\Q$dir\E\/hba": nested too deeply/],
	[hba => 'names from a file that is not there', "host \@nowhere all all md5\n", qr{:1: could not read "\Q$dir\E/nowhere": No such file}],
	[ident => 'no file', undef, qr/: could not read the file: No such file or directory/],
	[ident => 'unreadable', sub { chmod 0, $_[0] }, qr/: could not read the file: Permission denied/],
	[ident => 'two fields', "m a b\nm a\n", qr/:2: expected: map system-user user/],
	[ident => 'a bad pattern', "m /[ b\n", qr/:1: pattern "\[": /],
	[crt => 'no file', undef, qr{": No such file or directory}],
	[crt => 'unreadable', sub { chmod 0, $_[0] }, qr{": Permission denied}],
	[crt => 'no certificate', "nonsense\n", qr/": no start line/],
	[crt => 'half a certificate', substr($good{crt}, 0, 200), qr/": /],
	[key => 'no file', undef, qr{": No such file or directory}],
	[key => 'unreadable', sub { chmod 0, $_[0] }, qr{": Permission denied}],
	[key => 'no key', "nonsense\n", qr/": /],
	[key => 'another key', slurp("$dir/other.key"), qr/key/],
	[key => 'a key with a passphrase', slurp("$dir/locked.key"), qr/": /],
	[ca => 'no file', undef, qr{": No such file or directory}],
	[ca => 'unreadable', sub { chmod 0, $_[0] }, qr{": Permission denied}],
	[ca => 'no certificate', "nonsense\n", qr/": /],
);

sub restore
{
	for my $kind (keys %good)
	{
		chmod 0600, "$dir/$kind";
		rmdir "$dir/$kind" if -d "$dir/$kind";
		write_file("$dir/$kind", $good{$kind}, 0600);
	}
	return;
}
sub spoil
{
	my ($kind, $content) = @_;
	my $file = "$dir/$kind";

	if (!defined $content) { unlink $file; }
	elsif (ref $content) { $content->($file); }
	else { write_file($file, $content, 0600); }
	return;
}
# The line of the log that is an error about this file.
sub complaint { my ($text, $kind, $said) = @_; return grep { /ERROR / && /\Q$dir\E/ && s/.* ERROR //r =~ (/more.conf/ ? $said : qr/\Q$dir\E\/$kind.*$said/) } split /\n/, $text; }

my %settings = (auth_type => 'hba', client_tls_sslmode => 'prefer', map { ($setting{$_} => "$dir/$_") } keys %good);
restore();
my $w = sidecar($pg, settings => \%settings, databases => {postgres => ''});
my $enters = sub { return PgWire->connect(port => $w->{port}, user => 'postgres', password => 'secret', database => 'postgres')->value(q{select 'in'}); };

is($enters->(), 'in', 'with good files');

for my $case (@cases)
{
	my ($kind, $name, $content, $said) = @$case;

	subtest "$setting{$kind}: $name" => sub {
		my $mark = $w->log_mark;

		spoil($kind, $content);
		my ($code, $log) = sidecar($pg, start => 0, settings => \%settings)->start_fails;
		is($code, 1, 'fatal at the start');
		ok(scalar(complaint($log, $kind, $said)), 'file, line and reason are named') or diag($log);
		my $console = PgWire->connect(port => $w->{port}, user => 'admin', password => 'secret', database => 'pgbouncer');
		my $error = $console->ask('reload')->{error} // {};
		is($error->{M} // 'nothing', 'RELOAD failed, see logs for additional details', 'RELOAD reports it');
		ok(scalar(complaint($w->log_since($mark), $kind, $said)), '... the log says the same');
		is($enters->(), 'in', '... and the old state stays');
		unlike($log . $w->log_since($mark), qr/secret(?!")/, 'no secret in the log') if $kind eq 'users';
		restore();
		ok(!$console->ask('reload')->{error}, 'good files are taken again');
	};
}
subtest 'files that others can read' => sub {
	chmod 0644, "$dir/users", "$dir/key";
	my $v = sidecar($pg, settings => \%settings);

	like($v->log, qr{WARNING \Q$dir\E/users: every user of this machine can read the secrets in the auth file \(mode 0644\)}, 'a warning about the auth file');
	like($v->log, qr{WARNING client_tls_key_file: others can use the private key "\Q$dir\E/key" \(mode 0644\)}, '... and about the key');
	restore();
	$v = sidecar($pg, settings => \%settings);
	unlike($v->log, qr/mode 0/, 'none where all is well');
};
done_testing;
