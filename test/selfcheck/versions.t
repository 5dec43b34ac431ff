# versions.t: one version in META.json, the control file, the CHANGELOG and the daemon; META.json is what PGXN asks for.
#
# A release is MAJOR.MINOR.PATCH; the extension's SQL has the version MAJOR.MINOR, since a patch release never changes it.
use strict;
use warnings;
use JSON::PP;
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/ = undef; return scalar <$file>; }

my $meta = decode_json(slurp('META.json'));
my ($control) = slurp('extension/pgweir.control') =~ /^default_version\s*=\s*'([^']+)'/m;
my ($changelog) = slurp('CHANGELOG.md') =~ /^## \[?(\d+\.\d+\.\d+)/m;
my ($daemon) = `sidecar/pgweir --version` =~ /^PgBouncer \S+ \(pgweir (\S+)\)$/m;

like($meta->{version}, qr/^\d+\.\d+\.\d+$/, 'META.json: a semantic version');
is($meta->{provides}{pgweir}{version}, $meta->{version}, 'META.json: the extension has that version');
is($control, $meta->{version} =~ s/\.\d+$//r, 'control file: default_version is its major.minor');
is($changelog, $meta->{version}, 'CHANGELOG.md: its newest entry is that version');
is($daemon, $meta->{version}, 'the daemon says that version');
ok(-e "sql/pgweir--$control.sql", 'the script of that version is there');

# PGXN Meta Spec 1.0.0: required keys and their types.
ok(length $meta->{$_} && !ref $meta->{$_}, "META.json: $_") for qw(name abstract);
ok($meta->{maintainer} && (!ref $meta->{maintainer} || @{$meta->{maintainer}}), 'META.json: maintainer');
is($meta->{license}, 'postgresql', 'META.json: license');
is($meta->{'meta-spec'}{version}, '1.0.0', 'META.json: meta-spec version');
like($meta->{'meta-spec'}{url}, qr{^https?://pgxn\.org/meta/spec\.txt$}, 'META.json: meta-spec url');
is(ref $meta->{provides}, 'HASH', 'META.json: provides');
for my $name (sort keys %{$meta->{provides}})
{
	my $provided = $meta->{provides}{$name};

	ok($provided->{$_} && -e $provided->{$_}, "META.json: provides $name, $_ exists") for qw(file docfile);
	ok(length $provided->{abstract}, "META.json: provides $name, abstract");
}
like($meta->{prereqs}{runtime}{requires}{PostgreSQL}, qr/^\d+\.\d+\.\d+$/, 'META.json: the oldest server');
is($meta->{release_status}, 'stable', 'META.json: release status');
is_deeply([grep { !/^(?:name|version|abstract|description|maintainer|license|provides|meta-spec|prereqs|release_status|resources|tags|generated_by|no_index|x_.*)$/i } keys %$meta], [],
	'META.json: no key the specification does not know');
done_testing;
