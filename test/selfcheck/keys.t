# keys.t: every setting has a test that looks at its effect, or a reason why it has none: test/settings.txt.
use strict;
use warnings;
use Test::More;

chdir(($ENV{PGWEIR_TOP} // '.') . '/test') or die $!;

sub slurp { my ($path) = @_; open my $file, '<', $path or return ''; local $/ = undef; return scalar <$file>; }

my %settings = map { my ($section, $key) = split /\t/; ("$section\t$key" => 1) } `../sidecar/pgweir --list-settings`;
my (%listed, @twice, @unknown, @absent, @unexplained);
my %count = (tests => 0, reasons => 0);

for (grep { !/^#/ } split /\n/, slurp('settings.txt'))
{
	my ($section, $key, $test, $word) = split /\t/;
	my $name = "$section\t$key";

	push @twice, $name if $listed{$name}++;
	push @unknown, $name unless $settings{$name};
	if ($test eq '-') { $count{reasons}++; push @unexplained, $name unless length($word // '') > 10; next; }
	$word //= $key;
	$count{tests}++;
	push @absent, "$name: $test does not speak of $word" unless slurp($test) =~ /\b\Q$word\E\b/;
}
cmp_ok(scalar keys %settings, '>', 100, 'settings found');
is_deeply([sort grep { !$listed{$_} } keys %settings], [], 'every setting has a test or a reason');
is_deeply(\@absent, [], 'each of these tests speaks of its setting');
is_deeply(\@unexplained, [], 'each without a test has a reason');
is_deeply([@unknown, @twice], [], 'none is unknown, none stands twice');
note("$count{tests} settings with a test, $count{reasons} with a reason");
done_testing;
