# files.t: the shape of the sources: length, heads, blanks, things left open.
use strict;
use warnings;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

my @code = sort map { glob } qw(extension/*.[ch] extension/*/*.[ch] sidecar/*.[ch] sidecar/*/*.[ch] test/unit/*/*.[ch] test/unit/*.h test/bench/*.c test/demo/*.c);
my @scripts = sort map { glob } qw(sql/*/*.sql test/lib/*.pm test/lib/*/*.pm test/*/*.t test/server/*.pl);
my $open_words = join '|', map { join '', @$_ } ['TO', 'DO'], ['FIX', 'ME'], ['XX', 'X'];
my (%lines, @long, @blank, @open, @headless, @space_indent);

for my $path (@code, @scripts)
{
	open my $file, '<', $path or die "$path: $!";
	while (<$file>)
	{
		push @blank, "$path:$." if /[ \t]+\n\z/ || !/\n\z/;
		push @open, "$path:$." if /\b(?:$open_words)\b/;
		push @space_indent, "$path:$." if $path =~ /\.[ch]$/ && /^ {4}/;
		push @headless, $path if $. == 1 && !m{^/\*|^#|^--|^\\echo};
		$lines{$path} = $.;
	}
	close $file;
}
@long = grep { $lines{$_} > 1000 } sort keys %lines;
cmp_ok(scalar @code, '>', 20, 'sources found');
is_deeply(\@long, [], 'no file has more than 1000 lines');
is_deeply(\@blank, [], 'no blanks at line ends, a line end at every file\'s end');
is_deeply(\@open, [], 'nothing is marked as left open');
is_deeply(\@headless, [], 'every file begins with what it is');
is_deeply(\@space_indent, [], 'C is indented with tabs');
done_testing;
