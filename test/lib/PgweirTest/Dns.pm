# Dns.pm: a small DNS server on a free port of 127.0.0.1, for tests of names.
#
#   my $dns = PgweirTest::Dns->new(serial => 1, hosts => {'db.test.zone' => '127.0.0.1'}, ttl => 60);
#   $dns->set(serial => 2, hosts => {...});      # from the next question on
#   $dns->questions('A db.test.zone');           # how often it was asked
#   $dns->{resolv_conf}                          # a file that names it
package PgweirTest::Dns;

use strict;
use warnings;
use IO::Socket::INET;

sub new
{
	my ($class, %o) = @_;
	my $dir = PgweirTest::new_dir('n');
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp') or die "udp: $!";
	my $self = bless {dir => $dir, resolv_conf => "$dir/resolv.conf", state => "$dir/state", log => "$dir/log"}, $class;

	PgweirTest::write_file($self->{resolv_conf}, 'nameserver 127.0.0.1:' . $socket->sockport . "\noptions timeout:60 attempts:1\n");
	$self->set(serial => 1, hosts => {}, ttl => 60, %o);
	$self->{pid} = fork // die "fork: $!";
	return PgweirTest::register($self) if $self->{pid};
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
	serve($self, $socket);
	POSIX::_exit(0);
}

# A new state takes the place of the old one at once.
sub set
{
	my ($self, %o) = @_;

	@$self{keys %o} = values %o;
	PgweirTest::write_file("$self->{state}.new", join '', "$self->{serial} $self->{ttl}\n", map { "$_ $self->{hosts}{$_}\n" } sort keys %{$self->{hosts}});
	rename "$self->{state}.new", $self->{state} or die $!;
	return;
}

sub questions { my ($self, $what) = @_; my $n = () = PgweirTest::slurp($self->{log}) =~ /^\Q$what\E$/mg; return $n; }
sub end { my ($self) = @_; return PgweirTest::kill_program($self); }

# A, AAAA (which no name has) and SOA; other names do not exist, but those that a name is below do.
sub answer
{
	my ($self, $packet) = @_;
	my ($id, @labels) = unpack 'n', $packet;
	my $at = 12;
	my ($serial, $ttl, %hosts) = split ' ', PgweirTest::slurp($self->{state});

	while (my $n = unpack "x$at C", $packet) { push @labels, substr $packet, $at + 1, $n; $at += $n + 1; }
	my $name = lc join '.', @labels;
	my ($type) = unpack "x@{[$at + 1]} n", $packet;
	my $question = substr $packet, 12, $at + 5 - 12;
	my $data = $type == 1 && $hosts{$name} ? pack('C4', split /\./, $hosts{$name}) : $type == 6 ? "\2ns\0\2me\0" . pack('N5', $serial, 60, 60, 60, 60) : undef;
	my $there = defined $data || grep { $_ eq $name || /\.\Q$name\E$/ } keys %hosts;

	open my $log, '>>', $self->{log} or die $!;
	print {$log} {1 => 'A', 6 => 'SOA', 28 => 'AAAA'}->{$type} // $type, " $name\n";
	close $log;
	return pack('n6', $id, 0x8180 | ($there ? 0 : 3), 1, defined $data ? 1 : 0, 0, 0) . $question
	  . (defined $data ? pack('n3 N n', 0xC00C, $type, 1, $ttl, length $data) . $data : '');
}

sub serve
{
	my ($self, $socket) = @_;

	while (defined(my $from = $socket->recv(my $packet, 512)))
	{
		$socket->send($self->answer($packet), 0, $from) if length $packet > 16;
	}
	return;
}

1;
