# Sidecar.pm: the daemon before a server, on a free port of 127.0.0.1.
#
#   my $w = sidecar($pg, settings => {pool_mode => 'session'}, databases => {shop => 'dbname=postgres pool_size=2'},
#                   users => {app => 'pool_mode=session'}, auth => {app => 'secret'}, ini => "more lines", start => 0,
#                   under => ['valgrind']);
#
# A database's connection string gets host and port of the server unless it names its own.  Without databases there is `*`.
# Without auth everybody is trusted (auth_type any user of the file: postgres is in it); the console's user is admin.
# PGWEIR_SIDECAR names another program, e.g. one built with sanitizers; PGWEIR_TEST_WORKERS gives it so many worker_threads, PGWEIR_TEST_BACKEND
# that event_backend, PGWEIR_TEST_SPREAD that worker_spread, where a test does not say: with several threads it is `even`, so that clients are on each of them.
package PgweirTest::Sidecar;

use strict;
use warnings;
use Carp;
use Time::HiRes 'time';

use PgweirTest::Psql;

our @ISA = ('PgweirTest::Client');

sub program { return $ENV{PGWEIR_SIDECAR} // PgweirTest::top() . '/sidecar/pgweir'; }

sub new
{
	my ($class, $pg, %o) = @_;
	my $dir = PgweirTest::new_dir('w');
	my $self = bless {
		dir => $dir, file => "$dir/pgweir.ini", log => "$dir/pgweir.log", output => "$dir/output", auth_file => "$dir/users.txt",
		host => '127.0.0.1', port => $o{port} // PgweirTest::free_port(), user => $o{user} // 'postgres', dbname => $o{dbname} // 'postgres',
		pg => $pg, command_line => $o{args} // [], under => $o{under} // []}, $class;

	$self->{settings} = {
		listen_addr => '127.0.0.1', listen_port => $self->{port}, unix_socket_dir => '', auth_type => 'trust',
		auth_file => $self->{auth_file}, admin_users => 'admin', logfile => $self->{log}, pidfile => "$dir/pgweir.pid",
		pool_mode => 'transaction', default_pool_size => 10, %{$o{settings} // {}}};
	$self->{settings}{event_backend} //= $ENV{PGWEIR_TEST_BACKEND} if $ENV{PGWEIR_TEST_BACKEND};
	$self->{settings}{worker_threads} //= $ENV{PGWEIR_TEST_WORKERS} if $ENV{PGWEIR_TEST_WORKERS};
	$self->{settings}{worker_spread} //= $ENV{PGWEIR_TEST_SPREAD} || 'even' if $ENV{PGWEIR_TEST_SPREAD} || $ENV{PGWEIR_TEST_WORKERS};
	$self->{databases} = $o{databases} // {'*' => ''};
	$self->{users} = $o{users} // {};
	$self->{ini} = $o{ini} // '';
	$self->set_auth(%{$o{auth} // {postgres => '', admin => ''}});
	$self->write_config;
	$self->start unless defined $o{start} && !$o{start};
	return $self;
}

# The auth file: user => password or stored secret.  Takes effect at start or reload.
sub set_auth
{
	my ($self, %auth) = @_;

	$auth{admin} //= '';
	$self->{auth} = {%auth};
	PgweirTest::write_file($self->{auth_file}, join('', map { qq{"$_" "$auth{$_}"\n} } sort keys %auth), 0600);
	return;
}

# One more user (or another secret for one), at once.
sub add_user { my ($self, $user, $secret) = @_; $self->set_auth(%{$self->{auth}}, $user => $secret // ''); return $self->reload; }

sub database_line
{
	my ($self, $name, $text) = @_;

	$text = "host=$self->{pg}{host} $text" if $self->{pg} && $text !~ /\bhost\s*=/;
	$text = "port=$self->{pg}{port} $text" if $self->{pg} && $text !~ /\bport\s*=/;
	return ($name eq '*' ? '*' : qq{"$name"}) . " = $text\n";
}

sub write_config
{
	my ($self) = @_;
	my $text = "[databases]\n";

	$text .= $self->database_line($_, $self->{databases}{$_}) for sort keys %{$self->{databases}};
	$text .= "[users]\n" if %{$self->{users}};
	$text .= "$_ = $self->{users}{$_}\n" for sort keys %{$self->{users}};
	$text .= "[pgbouncer]\n";
	$text .= "$_ = $self->{settings}{$_}\n" for sort keys %{$self->{settings}};
	PgweirTest::write_file($self->{file}, $text . $self->{ini}, 0600);
	return;
}

# Change settings in the file; undef takes one out.  `reload` makes them count.
sub set
{
	my ($self, %settings) = @_;

	for my $key (keys %settings)
	{
		if (defined $settings{$key}) { $self->{settings}{$key} = $settings{$key}; }
		else { delete $self->{settings}{$key}; }
	}
	$self->write_config;
	return $self;
}

sub alive { my ($self) = @_; return 0 unless $self->{pid}; my $status = PgweirTest::reap($self->{pid}, 0); return 1 unless defined $status; $self->{status} = $status; $self->{pid} = 0; return 0; }

# Start and wait until it accepts connections.
sub start
{
	my ($self) = @_;

	$self->{pid} = PgweirTest::spawn([@{$self->{under}}, program(), @{$self->{command_line}}, $self->{file}], $self->{output});
	PgweirTest::wait_for_port($self->{port}, sub { $self->alive }) or croak "the sidecar did not start:\n" . $self->log;
	return $self;
}

# Start one that must refuse to run: (exit code, what it said).
sub start_fails
{
	my ($self) = @_;
	my $pid = PgweirTest::spawn([@{$self->{under}}, program(), @{$self->{command_line}}, $self->{file}], $self->{output});
	my $status = PgweirTest::reap($pid);

	if (!defined $status)
	{
		kill 'KILL', $pid;
		PgweirTest::reap($pid, 5);
		croak 'the sidecar did start';
	}
	return ($status >> 8, $self->log);
}

sub pid { return $_[0]{pid}; }
sub signal { my ($self, $name) = @_; return kill $name, $self->{pid}; }

# Log and everything the process wrote otherwise (a sanitizer's report, for one).
sub log { my ($self) = @_; return PgweirTest::slurp($self->{log}) . PgweirTest::slurp($self->{output}); }
# A place in the log to look from later.
sub log_mark { my ($self) = @_; return length PgweirTest::slurp($self->{log}); }
sub log_since { my ($self, $mark) = @_; return substr PgweirTest::slurp($self->{log}), $mark; }
# Wait until the log, from a mark on, matches.
sub wait_log { my ($self, $pattern, $mark, $seconds) = @_; return PgweirTest::eventually(sub { $self->log_since($mark // 0) =~ $pattern }, "$pattern in the log:\n" . $self->log, $seconds); }

# Reload by console and complain when it is refused.
sub reload { my ($self) = @_; $self->console('reload'); return $self; }

# A console command: rows as hashes.
sub console { my ($self, $command, %o) = @_; return $self->rows($command, user => 'admin', dbname => 'pgbouncer', %o); }

# The row of SHOW POOLS for (database, user).
sub pool { my ($self, $database, $user) = @_; my ($row) = grep { $_->{database} eq $database && $_->{user} eq $user } @{$self->console('show pools')}; return $row; }

# Wait for the end of the process: its exit code (128 + signal), undef when it does not end.
sub wait_end
{
	my ($self, $seconds) = @_;
	my $status;

	return undef if $self->{pid} && !PgweirTest::eventually(sub { !$self->alive }, 'the end of the sidecar', $seconds);
	$status = $self->{status} // 0;
	return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# Stop at once: the exit code.
sub stop { my ($self, $signal) = @_; $self->signal($signal // 'QUIT') if $self->{pid}; return $self->wait_end; }

# What a sanitizer or an assertion said, '' when all is well.
sub complaints { my ($self) = @_; return join "\n", grep { /runtime error|Sanitizer|Assertion|stack smashing|buffer overflow detected/ } split /\n/, $self->log; }

# The end of the test: a daemon that died by itself or complained is a failure, whatever the test looked at.
sub end
{
	my ($self) = @_;
	my $was_running = $self->{pid};
	my $died = $was_running && !$self->alive;

	if ($self->{pid})
	{
		$self->signal('QUIT');
		unless (defined PgweirTest::reap($self->{pid}, 10))
		{
			$self->signal('KILL');
			PgweirTest::reap($self->{pid}, 5);
		}
		$self->{pid} = 0;
	}
	return unless $died || $self->complaints ne '';
	Test::More::diag("the sidecar died or complained:\n" . $self->log);
	$PgweirTest::end_status = 1;
	return;
}

1;
