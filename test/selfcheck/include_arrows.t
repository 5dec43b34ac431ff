# include_arrows.t: includes go only downwards (README, "The parts"): a folder may include itself and the folders listed for it; and each
# header stands alone.
use strict;
use warnings;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

# half => {folder => the other folders it may include}; '' are the files directly in the half's folder.
my %allowed = (
	sidecar => {
		'' => [qw(admin config session wire pool net base)],
		admin => [qw(config session wire pool net base)],
		config => [qw(session wire pool net base)],
		session => [qw(wire pool net base)],
		wire => ['base'],
		pool => ['base'],
		net => ['base'],
		base => [],
	},
	extension => {
		init => [qw(capture views advisor sampler stores guc compat)],
		capture => [qw(stores guc compat)],
		views => [qw(stores guc compat)],
		advisor => [qw(stores guc compat)],
		sampler => [qw(stores guc compat)],
		stores => [qw(guc compat)],
		guc => ['compat'],
		compat => [],
	},
);

# The room of a file: its folder, or for the extension's own files their name (init, guc, compat).
sub room
{
	my ($half, $path) = @_;

	return $1 if $path =~ m{^([^/]+)/};
	return '' if $half eq 'sidecar';
	return $path =~ m{^([^/.]+)} ? $1 : '';
}

# What is wrong with an include of `target` in `path`, both relative to the half; '' when nothing is.
sub violation
{
	my ($half, $path, $target) = @_;
	my ($from, $to) = (room($half, $path), room($half, $target));
	my $rooms = $allowed{$half}{$from};

	return "no folder \"$from\" in the design" unless $rooms;
	return '' if $from eq $to || grep { $_ eq $to } @$rooms;
	return "$from may not include $to";
}

# Includes written relative to the half ("wire/msg.h"), to the file's folder ("plan.h") or with dots; undef for the server's and the system's.
sub resolve
{
	my ($half, $path, $name) = @_;
	my ($folder) = $path =~ m{^(.*/)};
	my $beside = ($folder // '') . $name;

	1 while $beside =~ s{[^/]+/\.\./}{};
	return $name if -e "$half/$name";
	return $beside if -e "$half/$beside";
	return undef;
}

is(violation('sidecar', 'wire/msg.c', 'pool/pool.h'), 'wire may not include pool', 'the check sees wire include pool');
is(violation('sidecar', 'base/buf.c', 'net/net.h'), 'base may not include net', 'the check sees base include net');
is(violation('extension', 'views/a.c', 'capture/b.h'), 'views may not include capture', 'the check sees views include capture');
is(violation('sidecar', 'session/client.c', 'wire/msg.h'), '', 'session may include wire');

for my $half (sort keys %allowed)
{
	my @files = map { s{^\Q$half\E/}{}r } glob "$half/*.[ch] $half/*/*.[ch]";
	my (@wrong, $includes);

	for my $path (@files)
	{
		open my $file, '<', "$half/$path" or die $!;
		while (<$file>)
		{
			next unless /^\s*#\s*include\s+"([^"]+)"/;
			my $target = resolve($half, $path, $1) // next;
			my $what = violation($half, $path, $target);

			$includes++;
			push @wrong, "$half/$path:$.: $1: $what" if $what;
		}
		close $file;
	}
	cmp_ok($includes // 0, '>', 10, "$half: includes found");
	is_deeply(\@wrong, [], "$half: includes only go down");
	is_deeply([grep { /\.\.\/(?!\w+\.h)/ } map { glob "$half/$_" } @files], [], "$half: no way out of the half");
}

# A header compiles when nothing comes before it but, in the extension, postgres.h.
my $server = `${\($ENV{PG_CONFIG} // 'pg_config')} --includedir-server`;
chomp $server;
my $libraries = `pkg-config --cflags libpq openssl jansson libcares libmicrohttpd libpcre2-8 liburing 2>/dev/null` =~ s/\n//r;
my %compile = (
	sidecar => ['', "-Isidecar $libraries"],
	extension => ["#include \"postgres.h\"\n", "-Iextension -isystem $server -isystem $server/../internal"],
);
for my $half (sort keys %compile)
{
	my ($before, $flags) = @{$compile{$half}};
	my @broken;

	for my $header (map { s{^\Q$half\E/}{}r } glob "$half/*.h $half/*/*.h")
	{
		open my $compiler, '|-', "${\($ENV{CC} // 'cc')} -std=gnu11 -D_GNU_SOURCE -fsyntax-only $flags -x c - 2>\"\$PGWEIR_TMP/cc.err\"" or die $!;
		print {$compiler} "$before#include \"$header\"\n";
		next if close $compiler;
		push @broken, $header;
		open my $errors, '<', "$ENV{PGWEIR_TMP}/cc.err" or next;
		diag(scalar <$errors>);
	}
	is_deeply(\@broken, [], "$half: each header stands alone");
}
done_testing;
