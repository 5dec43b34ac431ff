# Psql.pm: libpq's programs against a server or a sidecar.
#
# PgweirTest::Client is the base of both: an object with host, port, user and dbname.  Options everywhere: user, dbname, password,
# host, options (PGOPTIONS), app (application_name).
package PgweirTest::Client;

use strict;
use warnings;
use Carp;

sub port { return $_[0]{port}; }
sub host { return $_[0]{host}; }

# The environment libpq reads.
sub environment
{
	my ($self, %o) = @_;

	return (
		PGHOST => $o{host} // $self->{host}, PGPORT => $self->{port}, PGUSER => $o{user} // $self->{user},
		PGDATABASE => $o{dbname} // $self->{dbname}, PGPASSWORD => $o{password} // $self->{password} // '',
		PGOPTIONS => $o{options} // '', PGAPPNAME => $o{app} // 'test', PGSSLMODE => $o{sslmode} // 'disable', PGCONNECT_TIMEOUT => $PgweirTest::TIMEOUT);
}

# A connection string for other programs.
sub conninfo
{
	my ($self, %o) = @_;
	my %env = $self->environment(%o);

	return "host=$env{PGHOST} port=$env{PGPORT} user=$env{PGUSER} dbname=$env{PGDATABASE}"
	  . ($env{PGPASSWORD} ne '' ? " password=$env{PGPASSWORD}" : '');
}

# Run SQL in psql: (exit code, stdout, stderr), unaligned and without headers.
sub psql
{
	my ($self, $sql, %o) = @_;
	my @result = PgweirTest::run_program(
		['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', @{$o{args} // []}, '-f', '-'],
		stdin => "$sql\n", env => {$self->environment(%o)}, timeout => $o{timeout});

	chomp @result[1, 2];
	return @result;
}

# The output of SQL that must succeed.
sub sql
{
	my ($self, $sql, %o) = @_;
	my ($status, $out, $err) = $self->psql($sql, %o);

	croak "psql failed ($status) on \"$sql\": $err" if $status;
	return $out;
}

# The error text of SQL that must fail: "ERROR:  57014: ..." and so on.
sub sql_error
{
	my ($self, $sql, %o) = @_;
	my ($status, $out, $err) = $self->psql($sql, %o);

	croak "psql did not fail on \"$sql\": $out" unless $status;
	return $err;
}

# Rows as hashes, by an unaligned psql with headers.
sub rows
{
	my ($self, $sql, %o) = @_;
	my ($status, $out, $err) = PgweirTest::run_program(
		['psql', '-XAq', '-P', 'footer=off', '-F', "\x1f", '-R', "\x1e", '-P', 'null=', '-c', $sql], env => {$self->environment(%o)}, timeout => $o{timeout});
	my ($head, @lines) = split /\x1e/, $out;
	my @names;

	croak "psql failed ($status) on \"$sql\": $err" if $status;
	chomp($head //= '');
	chomp @lines;
	@names = split /\x1f/, $head, -1;
	return [map { my %row; @row{@names} = split /\x1f/, $_, -1; \%row } grep { length } @lines];
}

# A psql that stays open: see PgweirTest::Psql below.
sub psql_session { my ($self, %o) = @_; return PgweirTest::register(PgweirTest::Psql->new($self, %o)); }

# pgbench: (exit code, stdout, stderr).
sub pgbench
{
	my ($self, @args) = @_;
	my %o = ref $args[-1] eq 'HASH' ? %{pop @args} : ();

	return PgweirTest::run_program(['pgbench', @args], env => {$self->environment(%o)}, timeout => $o{timeout} // 300);
}

# A raw protocol session.
sub wire
{
	my ($self, %o) = @_;

	return PgWire->connect(host => $self->{host}, port => $self->{port}, user => $self->{user}, database => $o{dbname} // $self->{dbname}, %o);
}

package PgweirTest::Psql;

use strict;
use warnings;
use Carp;
use IO::Select;
use POSIX ();
use Time::HiRes 'time';

my $markers = 0;

sub new
{
	my ($class, $client, %o) = @_;
	my %env = $client->environment(%o);
	my ($child_in, $to, $from, $child_out);
	my $pid;

	pipe $child_in, $to or croak $!;
	pipe $from, $child_out or croak $!;
	$pid = fork // croak $!;
	if (!$pid)
	{
		@ENV{keys %env} = values %env;
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP QUIT PIPE);
		open STDIN, '<&', $child_in;
		open STDOUT, '>&', $child_out;
		open STDERR, '>&', $child_out;
		close $_ for $to, $from;
		exec 'psql', '-XAtq', '-v', 'VERBOSITY=verbose' or POSIX::_exit(127);
	}
	close $_ for $child_in, $child_out;
	$to->autoflush(1);
	return bless {pid => $pid, to => $to, from => $from, buffer => ''}, $class;
}

# Send SQL and do not wait; `result` collects the output later.
sub start
{
	my ($self, $sql) = @_;
	my $marker = sprintf '--end-%d-%d--', $$, ++$markers;

	local $SIG{PIPE} = 'IGNORE';
	$self->{marker} = $marker;
	$sql .= ';' unless $sql =~ /;\s*\z|^\\.*\z/m;
	print {$self->{to}} "$sql\n\\echo $marker\n";
	return;
}

# The output (also error messages) of what was started; dies after the limit.
sub result
{
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // $PgweirTest::TIMEOUT);
	my $text;

	while (index($self->{buffer}, "$self->{marker}\n") < 0)
	{
		croak "psql: no answer; so far: $self->{buffer}" if time > $end || !IO::Select->new($self->{from})->can_read($end - time);
		next if sysread $self->{from}, $self->{buffer}, 65536, length $self->{buffer};
		$self->{ended} = 1;
		last;
	}
	($text, $self->{buffer}) = split /^\Q$self->{marker}\E\n/m, $self->{buffer}, 2;
	$self->{buffer} //= '';
	chomp($text //= '');
	return $text;
}

sub query { my ($self, $sql, $seconds) = @_; $self->start($sql); return $self->result($seconds); }
# As Ctrl-C does in psql: a cancel request.
sub interrupt { my ($self) = @_; kill 'INT', $self->{pid}; return; }
sub kill_hard { my ($self) = @_; kill 'KILL', $self->{pid}; PgweirTest::reap($self->{pid}); $self->{pid} = 0; return; }

# Leave as \q does.
sub quit
{
	my ($self) = @_;

	return unless $self->{pid};
	close $self->{to};
	kill 'KILL', $self->{pid} unless defined PgweirTest::reap($self->{pid});
	$self->{pid} = 0;
	return;
}

sub end { my ($self) = @_; return PgweirTest::kill_program($self); }

1;
