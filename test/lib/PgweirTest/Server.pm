# Server.pm: a real PostgreSQL of the private tree, on a free port of 127.0.0.1 and on a socket of its own directory.
#
#   my $pg = server(conf => {work_mem => '1MB'}, preload => '', hba => ["host all all 127.0.0.1/32 scram-sha-256"], start => 0);
#
# preload is the value of shared_preload_libraries (default pgweir).  The superuser is postgres; without hba everybody is trusted.
# template is a data directory to begin with, of a server that was stopped; under a command that the server is run by, as ['valgrind'];
# PGWEIR_UNDER gives one where a test does not say.
package PgweirTest::Server;

use strict;
use warnings;
use Carp;
use Fcntl ':flock';

use PgweirTest::Psql;

our @ISA = ('PgweirTest::Client');

# initdb takes a second or two: one result is made per run of the tests and copied.
sub template
{
	my $dir = "$ENV{PGWEIR_TMP}/template";
	my ($status, $out, $err);

	open my $lock, '>', "$dir.lock" or croak "$dir.lock: $!";
	flock $lock, LOCK_EX;
	return $dir if -e "$dir/PG_VERSION";
	($status, $out, $err) = PgweirTest::run_program(
		['initdb', '-D', $dir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
		timeout => 600);
	croak "initdb failed: $out$err" if $status;
	return $dir;
}

sub new
{
	my ($class, %o) = @_;
	my $dir = PgweirTest::new_dir('s');
	my $self = bless {
		dir => $dir, data => "$dir/data", log => "$dir/server.log", host => '127.0.0.1', socket => $dir,
		port => $o{port} // PgweirTest::free_port(), user => 'postgres', dbname => 'postgres', under => $o{under} // ($ENV{PGWEIR_UNDER} ? [split ' ', $ENV{PGWEIR_UNDER}] : undef)}, $class;
	my %conf = (
		listen_addresses => '127.0.0.1', unix_socket_directories => $dir, port => $self->{port},
		shared_preload_libraries => $o{preload} // 'pgweir', fsync => 'off', max_connections => 60,
		log_line_prefix => '%m [%p] %q%a ', shared_buffers => '32MB', max_wal_size => '256MB', %{$o{conf} // {}});

	system('cp', '-r', $o{template} // template(), $self->{data}) == 0 or croak 'could not copy the data directory';
	$self->append_conf(\%conf);
	$self->set_hba(@{$o{hba}}) if $o{hba};
	$self->start unless defined $o{start} && !$o{start};
	return $self;
}

# Add settings to postgresql.conf; the last value of a key counts.
sub append_conf
{
	my ($self, $conf) = @_;

	open my $file, '>>', "$self->{data}/postgresql.conf" or croak $!;
	for my $key (sort keys %$conf)
	{
		(my $value = $conf->{$key}) =~ s/'/''/g;
		print {$file} "$key = '$value'\n";
	}
	close $file;
	return;
}

sub set_hba
{
	my ($self, @lines) = @_;

	PgweirTest::write_file("$self->{data}/pg_hba.conf", join('', map { "$_\n" } 'local all all trust', @lines));
	return;
}

sub pg_ctl
{
	my ($self, @args) = @_;

	# Not through a pipe: the server would inherit it and keep it open.
	my $pid = PgweirTest::spawn(['pg_ctl', '-D', $self->{data}, '-l', $self->{log}, '-w', '-t', $PgweirTest::TIMEOUT, @args], "$self->{dir}/pg_ctl.out");
	my $status = PgweirTest::reap($pid, 2 * $PgweirTest::TIMEOUT);

	return defined $status && $status == 0;
}

sub start
{
	my ($self) = @_;

	return $self->start_under if $self->{under};
	$self->pg_ctl('start') or croak "the server did not start:\n" . $self->log_tail;
	return $self;
}

# pg_ctl would wait for a child of its own name.
sub start_under
{
	my ($self) = @_;

	PgweirTest::spawn([@{$self->{under}}, "$ENV{PGWEIR_BINDIR}/postgres", '-D', $self->{data}], $self->{log});
	PgweirTest::eventually { PgweirTest::slurp("$self->{data}/postmaster.pid") =~ /^ready/m } "the server under $self->{under}[0]", 120;
	return $self;
}

# mode: fast (default), smart, immediate.
sub stop { my ($self, $mode) = @_; return $self->pg_ctl('stop', '-m', $mode // 'fast'); }
sub restart { my ($self, $mode) = @_; $self->stop($mode); return $self->start; }
sub reload { my ($self) = @_; return $self->pg_ctl('reload'); }
sub pid { my ($self) = @_; my ($pid) = split /\n/, PgweirTest::slurp("$self->{data}/postmaster.pid"); return $pid; }
sub log { my ($self) = @_; return PgweirTest::slurp($self->{log}); }
sub log_tail { my ($self) = @_; my @lines = split /\n/, $self->log; return join "\n", @lines[($#lines > 40 ? $#lines - 40 : 0) .. $#lines]; }
sub major { my ($self) = @_; return int($self->sql('show server_version_num') / 10000); }

sub end
{
	my ($self) = @_;

	$self->stop('immediate') if $self->pid;
	return;
}

1;
