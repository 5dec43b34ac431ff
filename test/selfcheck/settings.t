# settings.t: every setting of the daemon is in its manual page with its default and in the sample configuration, and nothing else is.
use strict;
use warnings;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/ = undef; return scalar <$file>; }

# section, key, type, default, reload, effect, help
my @rows = map { chomp; [split /\t/, $_, -1] } `sidecar/pgweir --list-settings`;
my %known = map { $_->[1] => $_ } @rows;
my $page = slurp('doc/pgweir.5');
my $sample = slurp('etc/pgweir.ini');
my %documented;

cmp_ok(scalar @rows, '>', 40, 'settings found');
$documented{$1 =~ s/\\-/-/gr} = 1 while $page =~ /^\.SS ([a-z_0-9]+)\s*$/mg;
is_deeply([grep { !$documented{$_} } sort keys %known], [], 'the manual page has every setting');
is_deeply([grep { !$known{$_} } sort keys %documented], [], 'the manual page has no other');
is_deeply([grep { $_->[5] !~ /^(?:unsupported|none)/ && $_->[0] !~ /databases|users/ && $sample !~ /^;?\s?\Q$_->[1]\E\s*=/m } @rows], [],
	'the sample configuration has every setting that does something');
like(`sidecar/pgweir --check etc/pgweir.ini 2>&1`, qr/\A(?!.*error)/is, 'the sample configuration has no error');
done_testing;
