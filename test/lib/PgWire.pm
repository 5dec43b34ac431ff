# PgWire.pm: a small client of PostgreSQL's protocol 3, for tests that must say exactly what is on the wire.
#
#   my $c = PgWire->connect(port => 6432, user => 'app', database => 'shop', params => {'pgweir.deadline' => '1s'});
#   $c->send(PgWire::query('select 1'));
#   my $answer = $c->until_ready;          # {types => 'TDCZ', status => 'I', errors => [...], rows => [[1]], tags => [...]}
#
# Every read has a timeout (PGWEIR_TIMEOUT, default 180 s) and dies when it passes, so that a test fails rather than hangs.
package PgWire;

use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(hmac_sha256 sha256);
use MIME::Base64 qw(decode_base64 encode_base64);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{PGWEIR_TIMEOUT} || 180;

# --- messages a client sends ---

sub message { my ($type, $payload) = @_; return $type . pack('N', 4 + length $payload) . $payload; }
sub query { return message('Q', $_[0] . "\0"); }
sub parse { my ($name, $sql, @types) = @_; return message('P', "$name\0$sql\0" . pack('n', scalar @types) . pack('N*', @types)); }

sub bind_message
{
	my ($portal, $statement, @values) = @_;
	my $payload = "$portal\0$statement\0" . pack('n', 0) . pack('n', scalar @values);

	$payload .= defined $_ ? pack('N', length $_) . $_ : pack('N', 0xFFFFFFFF) for @values;
	return message('B', $payload . pack('n', 0));
}
sub describe { my ($kind, $name) = @_; return message('D', "$kind$name\0"); }
sub execute { my ($portal, $rows) = @_; return message('E', ($portal // '') . "\0" . pack('N', $rows // 0)); }
sub close_message { my ($kind, $name) = @_; return message('C', "$kind$name\0"); }
sub sync { return message('S', ''); }
sub flush_message { return message('H', ''); }
sub copy_data { return message('d', $_[0]); }
sub copy_done { return message('c', ''); }
sub copy_fail { return message('f', "$_[0]\0"); }
sub terminate { return message('X', ''); }
# Parse, Bind, Describe, Execute, Sync of an unnamed statement.
sub extended { my ($sql, @values) = @_; return parse('', $sql) . bind_message('', '', @values) . describe('P', '') . execute('') . sync(); }
sub startup { my (%params) = @_; my $body = pack('N', 196608) . join('', map { "$_\0$params{$_}\0" } sort keys %params) . "\0"; return pack('N', 4 + length $body) . $body; }
sub cancel_request { my ($key) = @_; return pack('NN', 16, 80877102) . $key; }

# --- a connection ---

sub open_socket
{
	my ($class, %o) = @_;
	my $socket = $o{socket}
	  ? IO::Socket::UNIX->new(Peer => $o{socket})
	  : IO::Socket::INET->new(PeerAddr => $o{host} // '127.0.0.1', PeerPort => $o{port}, Proto => 'tcp');

	die "PgWire: could not connect: $!\n" unless $socket;
	$socket->autoflush(1);
	return bless {socket => $socket, buffer => '', params => {}, open => 1, port => $o{port}, host => $o{host} // '127.0.0.1'}, $class;
}

# Connect and log in (trust, clear-text or md5).  Dies with the server's message unless may_fail, which returns the connection with {failed}.
sub connect
{
	my ($class, %o) = @_;
	my $self = $class->open_socket(%o);

	$self->send(startup(user => $o{user}, database => $o{database} // $o{user}, %{$o{params} // {}}));
	$self->log_in(%o);
	return $self if $o{may_fail} || !$self->{failed};
	die "PgWire: login failed: $self->{failed}{M}\n";
}

# Behind the startup packet: prove who we are, as asked, up to ReadyForQuery.  What went wrong is in {failed}; {asked} has the
# codes of the authentication requests.
sub log_in
{
	my ($self, %o) = @_;
	my %scram;

	while (my $m = $self->next_message)
	{
		if ($m->{type} eq 'R') { $self->answer_authentication($m->{payload}, \%scram, %o); }
		elsif ($m->{type} eq 'K') { $self->{key} = $m->{payload}; }
		elsif ($m->{type} eq 'E') { $self->{failed} = error_fields($m->{payload}); return $self; }
		return $self if $m->{type} eq 'Z';
	}
	$self->{failed} //= {M => 'connection closed'};
	return $self;
}

sub answer_authentication
{
	my ($self, $payload, $scram, %o) = @_;
	my ($code, $data) = unpack 'N a*', $payload;

	push @{$self->{asked}}, $code;
	if ($code == 3) { $self->send(message('p', "$o{password}\0")); }
	elsif ($code == 5) { $self->send(message('p', 'md5' . md5_hex(md5_hex($o{password} . $o{user}) . $data) . "\0")); }
	elsif ($code == 10)
	{
		$scram->{nonce} = join '', map { chr 97 + int rand 26 } 1 .. 18;
		my $first = "n,,n=,r=$scram->{nonce}";
		$self->send(message('p', "SCRAM-SHA-256\0" . pack('N', length $first) . $first));
	}
	elsif ($code == 11)
	{
		my ($nonce, $salt, $iterations) = $data =~ /^r=([^,]+),s=([^,]+),i=(\d+)/ or die "PgWire: bad server-first\n";
		my $without_proof = "c=biws,r=$nonce";
		my $salted = my $u = hmac_sha256(decode_base64($salt) . pack('N', 1), $o{password});

		for (2 .. $iterations) { $u = hmac_sha256($u, $o{password}); $salted ^= $u; }
		my $client_key = hmac_sha256('Client Key', $salted);
		my $signature = hmac_sha256("n=,r=$scram->{nonce},$data,$without_proof", sha256($client_key));
		$self->send(message('p', "$without_proof,p=" . encode_base64($client_key ^ $signature, '')));
	}
	elsif ($code != 0 && $code != 12) { die "PgWire: authentication method $code is not known here\n"; }
	return;
}

sub send
{
	my ($self, @parts) = @_;
	my $bytes = join '', @parts;
	my $socket = $self->{socket};

	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $n = syswrite $socket, $bytes;

		return 0 unless defined $n;
		substr($bytes, 0, $n) = '';
	}
	return 1;
}

# Read more into the buffer; false at the end of the stream.
sub fill
{
	my ($self, $timeout) = @_;
	my $n;

	die sprintf("PgWire: nothing arrived for %.1f s\n", $timeout // $TIMEOUT)
	  unless IO::Select->new($self->{socket})->can_read($timeout // $TIMEOUT);
	$n = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
	$self->{open} = 0 unless $n;
	return $n;
}

# The next message {type, payload}, or undef when the connection was closed.
sub next_message
{
	my ($self, $timeout) = @_;
	my ($type, $length, $payload);

	while (length $self->{buffer} < 5 || length $self->{buffer} < 1 + unpack('x N', $self->{buffer}))
	{
		return undef unless $self->fill($timeout);
	}
	($type, $length) = unpack('a N', $self->{buffer});
	$payload = substr($self->{buffer}, 5, $length - 4);
	substr($self->{buffer}, 0, $length + 1) = '';
	if ($type eq 'S')
	{
		my ($name, $value) = split /\0/, $payload, -1;

		$self->{params}{$name} = $value;
	}
	return {type => $type, payload => $payload};
}

sub error_fields { my %f; for my $field (split /\0/, $_[0]) { $f{substr $field, 0, 1} = substr $field, 1 if length $field; } return \%f; }

sub row_values
{
	my ($payload) = @_;
	my $n = unpack('n', $payload);
	my $at = 2;
	my @values;

	for (1 .. $n)
	{
		my $len = unpack('N', substr $payload, $at, 4);

		$at += 4;
		if ($len == 0xFFFFFFFF) { push @values, undef; next; }
		push @values, substr $payload, $at, $len;
		$at += $len;
	}
	return \@values;
}

# Everything up to ReadyForQuery, or to the end of the connection (status undef then).
sub until_ready
{
	my ($self, $timeout) = @_;
	my %a = (types => '', errors => [], notices => [], rows => [], tags => [], status => undef);

	while (my $m = $self->next_message($timeout))
	{
		$a{types} .= $m->{type} unless $m->{type} eq 'S';
		if ($m->{type} eq 'E') { push @{$a{errors}}, error_fields($m->{payload}); }
		elsif ($m->{type} eq 'N') { push @{$a{notices}}, error_fields($m->{payload}); }
		elsif ($m->{type} eq 'D') { push @{$a{rows}}, row_values($m->{payload}); }
		elsif ($m->{type} eq 'C') { push @{$a{tags}}, substr $m->{payload}, 0, -1; }
		elsif ($m->{type} eq 'Z') { $a{status} = $m->{payload}; last; }
	}
	$a{error} = $a{errors}[0];
	return \%a;
}

# One simple query and its answer.
sub ask { my ($self, $sql, $timeout) = @_; $self->send(query($sql)); return $self->until_ready($timeout); }
# The single value of a query.
sub value { my ($self, $sql) = @_; my $a = $self->ask($sql); die "PgWire: $sql: $a->{error}{M}\n" if $a->{error}; return $a->{rows}[0] ? $a->{rows}[0][0] : undef; }
# Cancel what this session runs, on a connection of its own, as a driver does.
sub cancel { my ($self) = @_; my $c = PgWire->open_socket(host => $self->{host}, port => $self->{port}); $c->send(cancel_request($self->{key})); $c->fill; close $c->{socket}; return; }
# Vanish without a word; linger 0 makes it a reset.
sub vanish { my ($self) = @_; setsockopt($self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0)); close $self->{socket}; $self->{open} = 0; return; }
sub disconnect { my ($self) = @_; $self->send(terminate()); close $self->{socket}; $self->{open} = 0; return; }

1;
