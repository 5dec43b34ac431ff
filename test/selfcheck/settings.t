# settings.t: every setting of the daemon is in its manual page and in the sample configuration as `doc/settings` writes them, and the pages
# are well-formed.
use strict;
use warnings;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/ = undef; return scalar <$file>; }

# section, key, type, default, reload, effect, help
my @rows = map { chomp; [split /\t/, $_, -1] } `sidecar/pgweir --list-settings`;
my ($page, $sample) = (slurp('doc/pgweir.5'), slurp('etc/pgweir.ini'));
my (%documented, @twice);

cmp_ok(scalar @rows, '>', 100, 'settings found');
is_deeply([grep { @$_ != 7 || $_->[6] !~ /\.$/ } @rows], [], 'each has a sentence of help');
like(`doc/settings --check 2>&1`, qr/\A\z/, 'doc/settings would write the same lists');
is_deeply([grep { $page !~ /^\.BR \Q$_->[1]\E /m } @rows], [], 'the manual page has every setting');
is_deeply([grep { $_->[0] eq 'pgbouncer' && $_->[5] eq 'yes' && $sample !~ /^;\Q$_->[1]\E =/m } @rows], [], 'the sample has every setting that has an effect');

# The sample is usable but for the files it names, which are not on this machine.
my @problems = grep { !/auth_file|users\.txt/ } split /\n/, `sidecar/pgweir --check etc/pgweir.ini 2>&1`;
is_deeply([grep { /^error:/ } @problems], [], 'the sample has no error');

my %options = map { $_ => 1 } `sidecar/pgweir --help` =~ /(--[a-z-]+)/g;
my $manual = slurp('doc/pgweir.1') =~ s/\\-/-/gr;
cmp_ok(scalar keys %options, '>', 5, 'options found');
is_deeply([grep { index($manual, $_) < 0 } sort keys %options], [], 'the manual page has every option of the command line');

SKIP: {
	skip 'no groff', 2 if system('command -v groff >/dev/null 2>&1') != 0;
	is(`groff -man -Tutf8 -ww -z doc/pgweir.$_ 2>&1`, '', "doc/pgweir.$_ is well-formed") for 1, 5;
}
done_testing;
