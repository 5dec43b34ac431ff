# Relay.pm: the raw byte relay (test/bench/relay.c, built as build/relay) before a server, on a free port of 127.0.0.1, for comparison; with
# uring => 1 the one of relay_uring.c, where it was built and the kernel lets it run.
package PgweirTest::Relay;

use strict;
use warnings;
use Carp;

use PgweirTest::Psql;

our @ISA = ('PgweirTest::Client');

sub program { my ($uring) = @_; return PgweirTest::top() . '/build/relay' . ($uring ? '_uring' : ''); }

sub new
{
	my ($class, $pg, %o) = @_;
	my $dir = PgweirTest::new_dir('r');
	my $self = bless {dir => $dir, host => '127.0.0.1', port => PgweirTest::free_port(), user => 'postgres', dbname => 'postgres'}, $class;

	$self->{pid} = PgweirTest::spawn([@{$o{under} // []}, program($o{uring}), $self->{port}, $pg->{port}], "$dir/out");
	PgweirTest::register($self);
	PgweirTest::wait_for_port($self->{port}, sub { kill 0, $self->{pid} }) or croak 'the relay did not start: ' . PgweirTest::slurp("$dir/out");
	return $self;
}

sub pid { return $_[0]{pid}; }

sub end { my ($self) = @_; return PgweirTest::kill_program($self); }

1;
