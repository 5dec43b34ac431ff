# Drivers in transaction mode with the prepared-statement behaviour they have by default: connect, types, transactions, prepared statements
# that meet other servers, COPY, cancel, recovery from errors, DDL under prepared statements.
#
# Each program beside this file does the same cases with one driver and prints "driver NAME VERSION", then "ok CASE" or "not ok CASE: why".  A driver
# that is not installed is skipped; test/deps drivers says what is missing.  NODE_PATH and CLASSPATH are heeded.  The Go programs are built with the
# packages below /usr/share/gocode (or GOPATH), not with modules, so nothing is fetched.
use PgweirTest;
use File::Basename 'dirname';

my $here = PgweirTest::top() . '/test/drivers';
my $jar = (grep { -e } '/usr/share/java/postgresql.jar', split /:/, $ENV{CLASSPATH} // '')[0];
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my @cases = ('connect', 'types', 'transactions', 'prepared across servers', 'copy', 'cancel', 'errors', 'ddl');
# A Go program: the command that runs it, and whether its packages are there.
sub go
{
	my ($name, $package, $file, @arguments) = @_;
	my $path = $ENV{GOPATH} // '/usr/share/gocode';
	my %env = (GO111MODULE => 'off', GOPATH => $path, GOFLAGS => '', GOCACHE => "$ENV{PGWEIR_TMP}/gocache", GOTOOLCHAIN => 'local', CGO_ENABLED => 0);
	my $version = (split /-/, `dpkg-query -W -f '\${Version}' golang-github-\Q@{[$package =~ s{^github.com/}{}r =~ tr{/}{-}r]}\E-dev 2>/dev/null` || '(unknown)')[0];

	return {name => $name, env => \%env, have => ['go', 'list', $package], run => ['go', 'run', "$here/$file", $version, @arguments]};
}
my @drivers = (
	{name => 'psycopg2', have => [$python, '-c', 'import psycopg2'], run => [$python, "$here/driver_psycopg2.py"]},
	{name => 'psycopg', have => [$python, '-c', 'import psycopg'], run => [$python, "$here/driver_psycopg.py"]},
	{name => 'DBD::Pg', have => [qw(perl -MDBD::Pg -e1)], run => ['perl', "$here/driver_dbdpg.pl"]},
	{name => 'node-postgres', have => ['node', '-e', 'require("pg")'], run => ['node', "$here/driver_pg.js"]},
	{name => 'JDBC', have => ['sh', '-c', 'test -n "$1" && command -v javac >/dev/null', 'sh', $jar // ''], run => ['java', '-cp', $jar // '', "$here/DriverJdbc.java"]},
	go('lib/pq', 'github.com/lib/pq', 'driver_pq.go'),
	go('lib/pq, binary_parameters', 'github.com/lib/pq', 'driver_pq.go', 'binary_parameters=yes'),
	go('pgx', 'github.com/jackc/pgx/v4', 'driver_pgx.go'),
);
my $pg = server(preload => '');
# One worker: its clients come to each other's servers by the order in which they are released, and the cases count on that they do; of several workers each may
# keep one for its clients.
my $w = sidecar($pg, settings => {worker_threads => 1, pool_mode => 'transaction', default_pool_size => 3, ignore_startup_parameters => 'extra_float_digits'});

# PGWEIR_DRIVER=name runs one alone.
for my $driver (grep { ($ENV{PGWEIR_DRIVER} // $_->{name}) eq $_->{name} } @drivers)
{
	subtest $driver->{name} => sub {
		my ($there) = eval { run_program($driver->{have}, env => $driver->{env} // {}) };

		plan skip_all => 'not installed' if !defined $there || $there != 0;
		$pg->sql('drop table if exists goods; create table goods(id int primary key, name text, price numeric(10, 2), made timestamptz, tags text[], extra jsonb)');
		my ($status, $out, $err) = run_program($driver->{run}, env => {$w->environment, %{$driver->{env} // {}}}, timeout => 900);
		my %got = map { /^(ok|not ok) ([^:]+)(.*)/ ? ($2 => "$1$3") : () } split /\n/, $out;

		note($out =~ /^(driver .*)/m);
		is($status, 0, 'it ends well') or diag $err;
		for my $case (@cases) { like($got{$case} // 'not run', qr/^ok/, $case) or diag "$out$err"; }
		becomes { $pg->sql("select count(*) from pg_stat_activity where state like 'idle in transaction%'") } 0, 'it leaves no transaction open';
	};
}
done_testing;
