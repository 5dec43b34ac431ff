# The manual page of the extension says of each setting what the server says of it.  PGWEIR_PRINT=1 prints the list as it should be.
use lib 'test/lib';
use PgweirTest;

my $page = PgweirTest::slurp(PgweirTest::top() . '/doc/pgweir-extension.7');
my $pg = server();
my $rows = $pg->rows(q{select name, vartype, unit, boot_val, min_val, max_val, context, enumvals, concat_ws(' ', short_desc, extra_desc) as help
	from pg_settings where name like 'pgweir.%' order by name});
my %who = (user => 'any session', superuser => 'superusers in a session', sighup => 'reload', postmaster => 'server start');

# A setting as it stands in the page.
sub entry
{
	my ($row) = @_;
	my %unit = (B => 'bytes', '8kB' => 'pages of 8 kB');
	my $facts = join ', ', $row->{vartype} . (($row->{unit} // '') ne '' ? ' in ' . ($unit{$row->{unit}} // $row->{unit}) : ''),
	  $row->{vartype} =~ /^(integer|real)$/ ? "$row->{min_val} to $row->{max_val}" : (),
	  $row->{boot_val} eq '' ? 'default empty' : "default $row->{boot_val}", $who{$row->{context}};
	my ($roff_facts, $help) = map { s/\\/\\e/gr =~ s/-/\\-/gr =~ s/^([.'])/\\&$1/gmr } $facts, $row->{help};

	return ".TP\n.BR $row->{name} \" ($roff_facts)\"\n$help\n";
}

if ($ENV{PGWEIR_PRINT}) { print STDERR map { entry($_) } @$rows; }
for my $row (@$rows)
{
	my $stands = $page =~ /^\.BR \Q$row->{name}\E "/m;

	next if !$stands && $row->{name} =~ /^pgweir\.advisor_/;
	ok($stands && index($page, entry($row)) >= 0, "$row->{name} stands in the manual page as it is") or diag 'it should be:', entry($row);
}
my %known = map { $_->{name} => 1 } @$rows;
is(join(' ', grep { !$known{$_} } $page =~ /^\.BR (pgweir\.\w+) "/gm), '', 'nothing stands there that the server does not know');
done_testing;
