#!/usr/bin/perl
# timing.pl: the measurement behind `make bench-timing`: does the time of a refusal tell whether the user exists?
#
# For each auth_type and each way to keep a secret a wrong password is given in turn for a user that exists and for one that does not; what is
# timed is from the startup packet to the error, without the client's own derivation.  Printed are the medians and the Mann-Whitney rank test: the probability
# that a refusal of an unknown user takes longer than one of a known user (0.5: nothing to be learned) and z, its distance from 0.5 in standard deviations.
# The same with a rule of an HBA file, and for users whose secrets are looked up in the server (auth_query).  PAM and LDAP are asked about every
# user alike; how long they take is their affair.
#   BENCH_SAMPLES  of each kind (300)
use PgweirTest;
use Time::HiRes 'time';

my $samples = $ENV{BENCH_SAMPLES} || 300;
my $pg = server(preload => '');
$pg->sql("create role scram_user login password 'right'; set password_encryption = 'md5'; create role md5_user login password 'right'");
my %stored = map { split /\|/, $_, 2 } split /\n/, $pg->sql('select rolname, rolpassword from pg_authid where rolpassword is not null');
my @cases = (
	['plain', clear => 'right'], ['plain', md5 => $stored{md5_user}], ['plain', scram => $stored{scram_user}],
	['md5', clear => 'right'], ['md5', md5 => $stored{md5_user}], ['md5', scram => $stored{scram_user}],
	['scram-sha-256', clear => 'right'], ['scram-sha-256', scram => $stored{scram_user}],
	['hba', md5 => $stored{md5_user}, 'md5'], ['hba', scram => $stored{scram_user}, 'scram-sha-256'], ['auth_query', scram => $stored{scram_user}]);
my $dir = PgweirTest::new_dir('t');
$pg->sql("create role known$_ login password '$stored{scram_user}'") for 0 .. 9;

# Milliseconds from the startup packet to the refusal.  A proof is of the right form, and made of nothing.
sub refusal_ms
{
	my ($port, $user) = @_;
	my $c = PgWire->open_socket(port => $port);
	my $since = time;

	$c->send(PgWire::startup(user => $user, database => 'postgres'));
	while (my $m = $c->next_message)
	{
		return 1000 * (time - $since) if $m->{type} eq 'E';
		die "timing: unexpected message $m->{type}\n" unless $m->{type} eq 'R';
		my ($code, $data) = unpack 'N a*', $m->{payload};
		my $first = 'n,,n=,r=abcdefghijklmnopqr';

		if ($code == 3) { $c->send(PgWire::message('p', "wrong\0")); }
		elsif ($code == 5) { $c->send(PgWire::message('p', 'md5' . '0' x 32 . "\0")); }
		elsif ($code == 10) { $c->send(PgWire::message('p', "SCRAM-SHA-256\0" . pack('N', length $first) . $first)); }
		elsif ($code == 11) { my ($nonce) = $data =~ /^r=([^,]+)/; $c->send(PgWire::message('p', "c=biws,r=$nonce,p=" . 'A' x 43 . '=')); }
		else { die "timing: unexpected request $code\n"; }
	}
	die "timing: the connection was closed\n";
}

# The probability that one of @$x is larger than one of @$y, and how many standard deviations that is from 0.5.
sub ranks
{
	my ($x, $y) = @_;
	my @all = sort { $a->[0] <=> $b->[0] } map({ [$_, 1] } @$x), map({ [$_, 0] } @$y);
	my ($n, $m, $sum) = (scalar @$x, scalar @$y, 0);

	$sum += $all[$_][1] ? $_ + 1 : 0 for 0 .. $#all;
	my $u = $sum - $n * ($n + 1) / 2;
	return ($u / ($n * $m), ($u - $n * $m / 2) / sqrt($n * $m * ($n + $m + 1) / 12));
}

$| = 1;
printf "%-14s %-8s %10s %10s %12s %8s %7s\n", 'auth_type', 'secret', 'known ms', 'unknown ms', 'P(unk>known)', 'z', 'samples';
for my $case (@cases)
{
	my ($type, $kind, $secret, $method) = @$case;
	my %auth = $type eq 'auth_query' ? (postgres => '') : map { ("known$_" => $secret) } 0 .. 9;
	my %how = (auth_type => $type eq 'auth_query' ? 'scram-sha-256' : $type);

	$how{auth_user} = 'postgres' if $type eq 'auth_query';
	if ($method)
	{
		write_file("$dir/hba", "host all all 127.0.0.1/32 $method\n");
		$how{auth_hba_file} = "$dir/hba";
	}
	my $w = sidecar($pg, settings => {%how, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0}, auth => {%auth, admin => ''});
	my %ms = (known => [], unknown => []);

	refusal_ms($w->{port}, "${_}0") for qw(known unknown);
	for my $i (1 .. $samples)
	{
		push @{$ms{$_}}, refusal_ms($w->{port}, $_ . $i % 10) for $i % 2 ? qw(known unknown) : qw(unknown known);
	}
	printf "%-14s %-8s %10.3f %10.3f %12.3f %8.2f %7d\n", $type, $kind, median(@{$ms{known}}), median(@{$ms{unknown}}), ranks($ms{unknown}, $ms{known}), $samples;
	$w->end;
}
