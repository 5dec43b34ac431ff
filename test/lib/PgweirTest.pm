# PgweirTest.pm: what the tests that run real servers share.
#
#   use PgweirTest;                                  # also strict, warnings, Test::More and PgWire
#   my $pg = server(conf => {max_connections => 20});          # a PostgreSQL with pgweir preloaded, on a free port
#   $pg->sql('create extension pgweir');
#   my $w = sidecar($pg, settings => {default_pool_size => 2}, auth => {app => 'secret'});
#   is($w->sql('select 1'), '1', 'a query passes');            # psql through the sidecar
#   my $c = $w->wire(user => 'app');                           # raw protocol: a PgWire, see there
#   my $p = $w->psql_session; $p->query('begin');              # a psql that stays
#   $w->console('show pools');                                 # [{database => ..., cl_active => ...}, ...]
#   done_testing;
#
# Run such a test with `test/as-user prove test/...`: it needs the environment made there.  Files and sockets live below
# PGWEIR_TMP.  Every process is ended when the test ends, however it ends, by its own pid.  Nothing waits for ever: each wait has a
# limit (PGWEIR_TIMEOUT, default 180 s, which no machine takes for what works) and then the test dies with what it waited for.
#
# A test may be run on a machine that is busy or stands still for seconds, at any point of it, any of its processes.  What must have come about is
# waited for (`eventually`, `becomes`), never slept for; a limit of time that the test sets is one that it does not have to beat itself, or it tries
# again with a longer one; that something is late is judged by the best of several tries (`in_time`).
package PgweirTest;

use strict;
use warnings;
use Carp;
use Fcntl ':flock';
use File::Path 'make_path';
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Run ();
use POSIX ':sys_wait_h';
use Socket ();
use Test::More ();
use Time::HiRes qw(time sleep);

use PgWire ();

our @EXPORT = qw(server sidecar eventually becomes in_time free_port run_program slurp write_file median percentile);
our $TIMEOUT = $ENV{PGWEIR_TIMEOUT} || 180;

our $end_status = 0;	# set by an `end` that found something wrong

my $owner = $$;
my @running;       # things with a method `end`, in order of their start
my %port_locks;
my $instances = 0;

sub import_into { my ($package, @names) = @_; no strict 'refs'; *{"${package}::$_->[0]"} = $_->[1] for @names; return; }

# Export our own names, Test::More's, and turn on strict and warnings in the test.
sub import
{
	my $package = caller;

	strict->import;
	warnings->import;
	Test::More->export_to_level(1);
	import_into($package, map { [$_, \&{$_}] } @EXPORT);
	return;
}

BEGIN
{
	die "run this with test/as-user, which makes the environment the tests need\n"
	  unless $ENV{PGWEIR_TMP} && $ENV{PGWEIR_TOP};
	$SIG{$_} = sub { die "ended by a signal\n" } for qw(TERM INT HUP);
}

sub top { return $ENV{PGWEIR_TOP}; }
# Is the daemon built with a sanitizer?  That takes locks of its own, and no other library before it.
sub is_sanitized { return ($ENV{PGWEIR_SIDECAR} // '') =~ m{/sidecar-(?:address|thread)[^/]*/pgweir$}; }

# A new directory for one server or sidecar; the name is short because sockets live in it.
sub new_dir
{
	my ($kind) = @_;
	my $dir = sprintf '%s/%s%d.%d', $ENV{PGWEIR_TMP}, $kind, $$, ++$instances;

	make_path($dir);
	return $dir;
}

# A port of 127.0.0.1 that nobody uses, outside of the range the system gives out by itself.  The abstract socket keeps other tests from
# choosing it as long as this process lives, also between a stop and a start.
sub free_port
{
	my ($low, $high) = (slurp('/proc/sys/net/ipv4/ip_local_port_range') || '32768 60999') =~ /(\d+)/g;
	my ($from, $to) = $low >= 30_000 || $high < 20_000 ? (20_000, 29_999) : $high < 60_000 ? ($high + 1, 65_535) : $low > 12_000 ? (10_000, $low - 1) : (20_000, 29_999);

	for (1 .. 1000)
	{
		my $port = $from + int rand($to - $from + 1);
		my $lock = IO::Socket::UNIX->new(Local => "\0pgweir-test-port-$port", Listen => 1) or next;
		my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1) or next;

		close $probe;
		$port_locks{$port} = $lock;
		return $port;
	}
	croak 'found no free port';
}

sub slurp
{
	my ($path) = @_;

	open my $file, '<', $path or return '';
	local $/ = undef;
	return scalar(<$file>) // '';
}

sub write_file
{
	my ($path, $content, $mode) = @_;

	open my $file, '>', $path or croak "$path: $!";
	print {$file} $content;
	close $file or croak "$path: $!";
	chmod $mode, $path if defined $mode;
	return;
}

# Ask again until the code returns something true, and return that; dies after the limit, but never without having asked after it.
sub eventually(&;$$)
{
	my ($code, $what, $seconds) = @_;
	my $end = time + ($seconds // $TIMEOUT);
	my $pause = 0.005;

	while (1)
	{
		my $last = time > $end;
		my $result = $code->();

		return $result if $result;
		croak 'waited in vain for ' . ($what // 'a condition') if $last;
		sleep $pause;
		$pause *= 1.5 if $pause < 0.1;
	}
}

# A test: the code comes to return this value.  For what another process does in its own time.
sub becomes(&$$)
{
	my ($code, $expected, $name) = @_;
	my $got;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	eval { eventually { $got = $code->(); defined $got && $got eq $expected } } or $@ =~ /^waited in vain/ or die $@;
	return Test::More::is($got, $expected, $name);
}

# A test: what the code measures is at most so much, in the best of many tries; a machine that stands still makes anything late now and then.  A try
# that returns undef does not count.
sub in_time(&$$)
{
	my ($code, $most, $name) = @_;
	my $best;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	for (1 .. 25)
	{
		my $took = $code->();

		$best = $took if defined $took && !(defined $best && $best < $took);
		last if defined $best && $best <= $most;
	}
	return Test::More::cmp_ok($best // 9**9**9, '<=', $most, $name);
}

# Run a program to its end: (exit code, stdout, stderr).
sub run_program
{
	my ($command, %o) = @_;
	my ($in, $out, $err) = ($o{stdin} // '', '', '');

	local %ENV = (%ENV, %{$o{env} // {}});
	IPC::Run::run($command, '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($o{timeout} // $TIMEOUT));
	return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $out, $err);
}

# Compile NAME.c of this folder to be preloaded (LD_PRELOAD) into a program: the library's path.
sub preloaded
{
	my ($name) = @_;
	my $library = new_dir('l') . "/$name.so";
	my ($status, $out, $err) = run_program(['sh', '-c', ($ENV{CC} // 'cc') . ' -O1 -D_GNU_SOURCE -shared -fPIC -o "$1" "$2"', 'sh', $library, top() . "/test/lib/$name.c"]);

	croak "$out$err" if $status;
	return $library;
}

# Start a program in the background with its output in a file: its pid.  Signals are as at a login, whatever we ignore.
sub spawn
{
	my ($command, $output) = @_;
	my $pid = fork // croak "fork: $!";

	return $pid if $pid;
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP QUIT PIPE USR1 USR2);
	open STDIN, '<', '/dev/null';
	open STDOUT, '>>', $output;
	open STDERR, '>>', $output;
	exec {$command->[0]} @$command or POSIX::_exit(127);
}

# Kill the program of an object ({pid}), if it runs.
sub kill_program
{
	my ($object) = @_;

	return unless $object->{pid};
	kill 'KILL', $object->{pid};
	reap($object->{pid}, 5);
	$object->{pid} = 0;
	return;
}

# Wait for a child: its status ($?), or undef when it still runs after so many seconds (by default after the limit).
sub reap
{
	my ($pid, $seconds) = @_;
	my $end = time + ($seconds // $TIMEOUT);

	while (1)
	{
		my $last = time > $end;
		my $got = waitpid $pid, WNOHANG;

		return $? if $got == $pid;
		return 0 if $got < 0;
		return undef if $last;
		sleep 0.01;
	}
}

# Seconds until the socket at host:port accepts, or false when alive->() becomes false first.
sub wait_for_port
{
	my ($port, $alive) = @_;
	my $end = time + $TIMEOUT;

	while (time < $end && $alive->())
	{
		return 1 if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp');
		sleep 0.01;
	}
	return 0;
}

sub median { return percentile(50, @_); }
# The value below which p percent of the values lie (nearest rank).
sub percentile
{
	my ($p, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;

	return undef unless @sorted;
	return $sorted[POSIX::ceil($p / 100 * @sorted) - 1] if $p > 0;
	return $sorted[0];
}

sub register { push @running, $_[0]; return $_[0]; }

sub server { require PgweirTest::Server; return register(PgweirTest::Server->new(@_)); }
sub sidecar { require PgweirTest::Sidecar; return register(PgweirTest::Sidecar->new(@_)); }

END
{
	my $status = $?;

	if ($$ == $owner)
	{
		local $@;
		eval { $_->end } for reverse @running;
	}
	$? = $status || $end_status;
}

1;
