# deps.t: test/deps is quiet when nothing is missing, and says what to install where it cannot do it itself.
use strict;
use warnings;
use File::Temp 'tempdir';
use Test::More;

chdir($ENV{PGWEIR_TOP} // '.') or die $!;

is(`test/deps build check 2>&1`, '', 'quiet when nothing is missing');
is($?, 0, 'and content');

# A system without apt, compiler and PostgreSQL: only the tools that the script itself uses.
my $bin = tempdir(CLEANUP => 1);
for my $tool (qw(sh env sed head grep id uname perl mktemp cat rm))
{
	my ($path) = grep { -x } map { "$_/$tool" } qw(/usr/bin /bin);

	symlink $path, "$bin/$tool" or die "$tool: $!";
}
my $said = do { local @ENV{qw(PATH PG_CONFIG CC)} = ($bin, 'pg_config', 'cc'); `test/deps build check bench 2>&1` };
is($? >> 8, 1, 'without apt: it fails');
like($said, qr/^These are missing:$/m, 'it says so');
like($said, qr/^  \Q$_\E/m, "it names $_") for 'the program cc', 'the library libpq with its headers', 'the server of pg_config';
like($said, qr/PG_CONFIG=/, 'it says how to name a server');
unlike($said, qr/not found|line \d/, 'and nothing goes wrong on the way');

# Debian's client package brings PGXS's makefile without the server's headers.
my $half = tempdir(CLEANUP => 1);
open my $fake, '>', "$half/pg_config" or die $!;
print $fake <<"SCRIPT";
#!/bin/sh
case \$1 in --version) echo 'PostgreSQL 15.1' ;; --pgxs) echo $half/pg_config ;; *) echo $half ;; esac
SCRIPT
close $fake;
chmod 0755, "$half/pg_config" or die $!;
$said = do { local @ENV{qw(PATH PG_CONFIG)} = ($bin, "$half/pg_config"); `test/deps build 2>&1` };
like($said, qr/^  the server's headers/m, 'the makefile of PGXS alone does not pass for the headers');
like($said, qr/postgresql-server-dev-15/, 'and it names their package');

is(do { local $ENV{DEPS} = 'no'; local $ENV{PATH} = $bin; `test/deps build check bench 2>&1` }, '', 'DEPS=no asks nothing');
done_testing;
