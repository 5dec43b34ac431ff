#!/usr/bin/perl
# logins.pl: the benchmark behind `make bench-logins`: what a storm of SCRAM logins does to the traffic that runs.
#
# PgBouncer and pgweir in turn before the same PostgreSQL.  For each case loginstorm.c measures the p99 latency of running traffic alone,
# then during storms.
#   verifier   one user, whose SCRAM secret stands in the auth file         clear   as many users as logins, with passwords in clear: each wants a
#   derivation of keys (4096 iterations)                                    tls     as verifier, over TLS, each with a full handshake (ECDSA)
# Who logs in is a process that runs only when nobody else wants the processor (SCHED_IDLE), before either pooler alike: real clients have
# machines of their own.  The poolers, the server and the traffic run as always, and "alone" is measured in turn with the storms.
#   BENCH_LOGINS  logins of a storm (2000)     BENCH_AT_ONCE  how many at a time (200)     BENCH_ROUNDS  (5; the median ratio counts)
#   BENCH_STORMS  storms in a round (5; with clear it is one, for keys are derived once)    BENCH_ONLY    cases
use PgweirTest;
use PgweirTest::Bouncer;

my $logins = $ENV{BENCH_LOGINS} || 2000;
my $at_once = $ENV{BENCH_AT_ONCE} || 200;
my $rounds = $ENV{BENCH_ROUNDS} || 5;
my $storms = $ENV{BENCH_STORMS} || 5;
my @cases = split ' ', $ENV{BENCH_ONLY} || 'verifier clear tls';
my $storm = PgweirTest::top() . '/build/loginstorm';
my $dir = PgweirTest::new_dir('l');

$| = 1;
run_program(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', "$dir/key", '-out', "$dir/crt", '-days', 30, '-subj', '/CN=localhost']);
chmod 0600, "$dir/key";

my $pg = server(preload => '', conf => {max_connections => 60, password_encryption => 'scram-sha-256'});
$pg->sql("create role u0 login password 'secret'");
my $secret = $pg->sql(q{select rolpassword from pg_authid where rolname = 'u0'}) =~ s/\s+$//r;
my %settings = (auth_type => 'scram-sha-256', pool_mode => 'transaction', default_pool_size => 10, max_client_conn => 5000, listen_backlog => 4096, client_tls_sslmode => 'prefer',
	client_tls_cert_file => "$dir/crt", client_tls_key_file => "$dir/key", log_connections => 0, log_disconnections => 0);

# A fresh pooler, which has not derived anything yet.
sub endpoint
{
	my ($kind, $case) = @_;
	my %auth = $case eq 'clear' ? map { ("u$_" => 'secret') } 0 .. $logins - 1 : (u0 => $secret);
	my $users;
	my %all = (%settings, auth_file => "$dir/users.txt");

	$auth{postgres} = 'clear';
	$users = join '', map { qq{"$_" "$auth{$_}"\n} } sort keys %auth;
	write_file("$dir/users.txt", $users, 0600);
	return PgweirTest::Bouncer->new($pg, %all, ini_databases => 'user=postgres') if $kind eq 'pgbouncer';
	return sidecar($pg, args => ['-q'], settings => \%settings, auth => \%auth, databases => {postgres => 'user=postgres'});
}

my (%ratio, %rate);
printf "%-10s %-10s %8s %8s %12s %12s %12s %12s %7s\n", 'case', 'pooler', 'logins', 'per s', 'login p99 ms', 'p99 alone', 'p99 in storm', 'max in storm', 'ratio';
for my $round (1 .. $rounds)
{
	for my $case (@cases)
	{
		for my $kind ($round % 2 ? qw(pgbouncer pgweir) : qw(pgweir pgbouncer))
		{
			my $to = endpoint($kind, $case);
			my $repeat = $case eq 'clear' ? 1 : $storms;
			my ($status, $out, $err) = run_program([$storm, '--storms', $repeat, '--seconds', 3 / $repeat, '--port', $to->{port}, '--traffic-conninfo', "host=127.0.0.1 port=$to->{port} user=postgres password=clear dbname=postgres sslmode=disable",
				'--logins', $logins, '--at-once', $at_once, '--count', $case eq 'clear' ? $logins : 1, $case eq 'tls' ? '--tls' : ()], timeout => 180);
			my %v = $out =~ /(\w+)=(\S+)/g;

			die "loginstorm failed before $kind: $out$err" unless exists $v{storm_p99};
			printf "%-10s %-10s %8s %8s %12s %12s %12s %12s %7.2f\n", $case, $kind, $v{failed} ? "$v{logins}-$v{failed}" : $v{logins}, $v{rate}, $v{login_p99}, $v{alone_p99}, $v{storm_p99}, $v{storm_max}, $v{storm_p99} / $v{alone_p99};
			push @{$ratio{$case}{$kind}}, $v{storm_p99} / $v{alone_p99};
			push @{$rate{$case}{$kind}}, $v{rate};
			$to->end;
		}
	}
}
for my $case (@cases)
{
	printf "%-10s p99 of the traffic grows during the storm by x %.2f with pgbouncer %s, x %.2f with pgweir; logins per second: %d, %d (medians)\n", $case,
		median(@{$ratio{$case}{pgbouncer}}), PgweirTest::Bouncer::version(), median(@{$ratio{$case}{pgweir}}), map({ median(@{$rate{$case}{$_}}) } qw(pgbouncer pgweir));
}
