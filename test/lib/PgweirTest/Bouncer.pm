# Bouncer.pm: PgBouncer before a server, on a free port of 127.0.0.1, for comparison.
#
#   my $b = PgweirTest::Bouncer->new($pg, pool_mode => 'transaction', default_pool_size => 10);
#   $b->sql('select 1'); $b->end;
#
# The setting `under` is a command to run it under, as a list.
#
# It ends with the test, by its own pid.  PGBOUNCER in the environment names another program than the system's.
package PgweirTest::Bouncer;

use strict;
use warnings;
use Carp;

use PgweirTest::Psql;

our @ISA = ('PgweirTest::Client');

# The program, or undef where there is none.
sub program { my ($found) = grep { -x } $ENV{PGBOUNCER} || map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin'; return $found; }
sub version { my $program = program(); return (`$program --version` =~ /PgBouncer (\S+)/i)[0]; }

# Does it keep prepared statements in transaction mode?  That came with 1.21, and is off unless max_prepared_statements is set before 1.24.
sub keeps_statements { my ($minor) = version() =~ /^1\.(\d+)/; return !defined $minor || $minor >= 21; }

sub new
{
	my ($class, $pg, %settings) = @_;
	my $program = program() // croak 'pgbouncer is not installed: make deps';
	my $entry = delete $settings{ini_databases} // '';	# behind host and port
	my $dir = PgweirTest::new_dir('p');
	my $under = delete $settings{under} // [];
	my $self = bless {dir => $dir, host => '127.0.0.1', port => PgweirTest::free_port(), user => 'postgres', dbname => 'postgres'}, $class;
	my %all = (
		listen_addr => '127.0.0.1', listen_port => $self->{port}, unix_socket_dir => '', auth_type => 'trust', auth_file => "$dir/users.txt",
		admin_users => 'admin', logfile => "$dir/log", pidfile => "$dir/pid", pool_mode => 'transaction', %settings);

	PgweirTest::write_file("$dir/users.txt", qq{"postgres" ""\n"admin" ""\n});
	PgweirTest::write_file("$dir/ini", "[databases]\n* = host=127.0.0.1 port=$pg->{port} $entry\n[pgbouncer]\n" . join '', map { "$_ = $all{$_}\n" } sort keys %all);
	$self->{pid} = PgweirTest::spawn([@$under, $program, '-q', "$dir/ini"], "$dir/out");
	PgweirTest::register($self);
	PgweirTest::wait_for_port($self->{port}, sub { kill 0, $self->{pid} }) or croak 'pgbouncer did not start: ' . PgweirTest::slurp("$dir/out");
	return $self;
}

sub end { my ($self) = @_; return PgweirTest::kill_program($self); }

1;
