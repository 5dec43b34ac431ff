# Chain.pm: the real chain: load -> nginx -> Node.js -> Go product service -> sidecar -> PostgreSQL, all on free ports of 127.0.0.1.
#
#   my $chain = Chain->new(rate => 60, settings => {default_pool_size => 4}, relay => 1, network => 1);
#   $chain->start_load;
#   $chain->pg, $chain->weir             # see PgweirTest
#   $chain->restart_product('v2', 'leak')
#   $chain->restart_web(100)             # the caller's timeout in ms
#   $chain->break_nginx, $chain->stop_relay, $chain->starve, $chain->drop_packets(0.2), $chain->delay_packets(40)
#
# relay => 1 puts a relay that can be stopped between sidecar and server.  network => 1 puts everything above the sidecar into a network
# namespace of its own, joined by a pair of veth with a forwarder in between; the caller must be in a user and network namespace with
# capabilities already (test/scenario/run sees to it).  The programs are those of test/scenario/build.
package Chain;

use strict;
use warnings;
use Carp;
use Fcntl ':flock';
use Time::HiRes qw(time sleep);

use PgweirTest;

my $top = $ENV{PGWEIR_TOP};
my $bin = "$top/build/scenario";
my ($server_ip, $service_ip) = ('10.77.0.1', '10.77.0.2');

sub pg { return $_[0]{pg}; }
sub weir { return $_[0]{weir}; }

sub new
{
	my ($class, %o) = @_;
	my $self = bless {
		rate => 60, timeout_ms => 3000, reports => 0.02, pool => 20, dir => PgweirTest::new_dir('c'), pid => {}, starts => 0, %o,
		owner => $$}, $class;

	$self->{port}{$_} = PgweirTest::free_port() for qw(nginx web product relay dead);
	PgweirTest::register($self);
	$self->make_network if $self->{network};
	$self->start_server;
	$self->start_sidecar;
	$self->restart_product('product-v1', @{$self->{product} // []});
	$self->restart_web($self->{timeout_ms});
	$self->start_nginx($self->{port}{web});
	return $self;
}

# --- processes ---

# Start a part of the chain, in the services' network if there is one.
sub start_part
{
	my ($self, $name, @command) = @_;

	@command = ('nsenter', '-t', $self->{pid}{services}, '-n', '--', @command) if $self->{network} && $name =~ /^(?:nginx|web|product|load)$/;
	return $self->{pid}{$name} = PgweirTest::spawn(\@command, "$self->{dir}/$name.out");
}

sub stop_part
{
	my ($self, $name, $signal) = @_;
	my $pid = delete $self->{pid}{$name} or return;

	kill 'CONT', $pid;
	kill $signal // 'TERM', $pid;
	defined PgweirTest::reap($pid, 3) or do { kill 'KILL', $pid; PgweirTest::reap($pid, 3); };
	return;
}

sub end
{
	my ($self) = @_;

	return unless $self->{owner} == $$;
	$self->stop_part($_) for qw(house starver load nginx web product relay wire services middle);
	return;
}

sub output { my ($self, $name) = @_; return PgweirTest::slurp("$self->{dir}/$name.out"); }

# --- the parts ---

my $schema = <<'SQL';
CREATE TABLE products (product_id integer PRIMARY KEY, category_id integer NOT NULL, name text NOT NULL, price_cents integer NOT NULL);
INSERT INTO products SELECT i, i % 500, 'product ' || i, 100 + (i * 7919) % 100000 FROM generate_series(1, 20000) AS i;
CREATE TABLE inventory (product_id integer PRIMARY KEY, quantity integer NOT NULL) WITH (fillfactor = 70);
INSERT INTO inventory SELECT i, 1000000 FROM generate_series(1, 20000) AS i;
CREATE TABLE orders (order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer NOT NULL, product_id integer NOT NULL,
	total_cents integer NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), note text NOT NULL DEFAULT repeat('x', 60));
INSERT INTO orders (customer_id, product_id, total_cents)
SELECT 1 + (i * 7919) % 4000, 1 + (i::bigint * 104729) % 20000, i % 5000 FROM generate_series(1, 240000) AS i;
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE ROLE shop LOGIN; CREATE ROLE reporter LOGIN;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO shop;
VACUUM (ANALYZE);
CREATE EXTENSION pgweir;
GRANT EXECUTE ON FUNCTION pgweir.report(text, integer, jsonb) TO reporter;
SELECT pgweir.reset();
SQL

# The data is loaded once and copied for each chain.
sub template
{
	my $dir = "$ENV{PGWEIR_TMP}/chain";

	open my $lock, '>', "$dir.lock" or croak "$dir.lock: $!";
	flock $lock, LOCK_EX;
	return $dir if -e $dir;
	my $pg = PgweirTest::server(conf => {shared_buffers => '96MB', max_wal_size => '1GB'});
	$pg->sql('CREATE DATABASE shop');
	$pg->{dbname} = 'shop';
	$pg->sql($schema);
	$pg->stop or croak 'the server did not stop';
	rename $pg->{data}, $dir or croak "$dir: $!";
	return $dir;
}

sub start_server
{
	my ($self) = @_;

	$self->{pg} = PgweirTest::server(template => template(), conf => {
		max_connections => 40, shared_buffers => '96MB', max_parallel_workers_per_gather => 0, jit => 'off', max_wal_size => '1GB',
		'pgweir.flush_interval' => '1s', autovacuum_naptime => '15s', %{$self->{conf} // {}}});
	$self->pg->{dbname} = 'shop';
	return;
}

sub start_sidecar
{
	my ($self) = @_;
	my $port = $self->pg->port;

	if ($self->{relay})
	{
		$port = $self->{port}{relay};
		$self->start_part('relay', "$bin/relay", "127.0.0.1:$port", '127.0.0.1:' . $self->pg->port);
		PgweirTest::wait_for_port($port, sub { 1 }) or croak 'the relay did not start';
	}
	$self->{weir} = PgweirTest::sidecar($self->pg, user => 'shop', dbname => 'shop', auth => {shop => '', reporter => ''},
		databases => {shop => "port=$port dbname=shop", control => 'dbname=shop'}, settings => {
			report_user => 'reporter', report_database => 'control', reporter_name => 'weir', ignore_startup_parameters => 'extra_float_digits',
			($self->{network} ? (listen_addr => "127.0.0.1,$server_ip") : ()), %{$self->{settings} // {}}});
	return;
}

# The product service, or another release of it; the former one ends first.
sub restart_product
{
	my ($self, $release, @faults) = @_;
	my $host = $self->{network} ? $server_ip : '127.0.0.1';

	$self->stop_part('product');
	# binary_parameters: a statement in one round trip, as a pool by transaction needs it.
	$self->start_part('product', "$bin/product", "127.0.0.1:$self->{port}{product}",
		"host=$host port=" . $self->weir->port . ' user=shop dbname=shop sslmode=disable binary_parameters=yes', $release, "pool=$self->{pool}", @faults);
	return;
}

sub restart_web
{
	my ($self, $timeout_ms) = @_;

	$self->stop_part('web');
	$self->start_part('web', 'node', "$top/test/scenario/web.js", $self->{port}{web}, $self->{port}{product}, $timeout_ms);
	return;
}

sub write_nginx_config
{
	my ($self, $upstream) = @_;
	my $dir = "$self->{dir}/nginx";

	mkdir $dir;
	PgweirTest::write_file("$dir/nginx.conf", <<"CONF");
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log warn;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi; uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
	upstream web { server 127.0.0.1:$upstream; keepalive 64; }
	server {
		listen 127.0.0.1:$self->{port}{nginx};
		location / { proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_connect_timeout 2s; }
	}
}
CONF
	return "$dir/nginx.conf";
}

sub start_nginx
{
	my ($self, $upstream) = @_;
	my ($nginx) = grep { -x } '/usr/sbin/nginx', map { "$_/nginx" } split /:/, $ENV{PATH};

	$self->start_part('nginx', $nginx, '-p', $self->{dir}, '-e', "$self->{dir}/nginx.err", '-c', $self->write_nginx_config($upstream));
	return;
}

# A little load until the chain answers, then what was asked for; what was before is forgotten.
sub start_load
{
	my ($self) = @_;
	my @load = ("$bin/load", "http://127.0.0.1:$self->{port}{nginx}");

	$self->start_part('load', @load, 10, 600, 0);
	PgweirTest::eventually { $self->output('load') =~ /\b200=\d+/ } 'the chain to answer: ' . join "\n", map { "$_: " . $self->output($_) } qw(load web product);
	$self->stop_part('load');
	$self->pg->sql('SELECT pgweir.reset()');
	$self->start_part('load', @load, $self->{rate}, 600, $self->{reports});
	return;
}

# The last lines of the load: what its users get.
sub users_see { my ($self, $lines) = @_; my @all = split /\n/, $self->output('load'); return @all > $lines ? @all[-$lines .. -1] : @all; }

# --- faults ---

sub break_nginx { my ($self) = @_; $self->write_nginx_config($self->{port}{dead}); kill 'HUP', $self->{pid}{nginx}; return; }
sub stop_relay { my ($self) = @_; $self->stop_part('relay', 'KILL'); return; }

# From now on the service keeps connections that it should give back.
sub begin_to_keep { my ($self) = @_; kill 'USR1', $self->{pid}{product}; return; }

# What a server does for itself: VACUUM and CHECKPOINT, over and over.
sub keep_house
{
	my ($self) = @_;

	$self->{pid}{house} = PgweirTest::spawn(['psql', '-XAtq', $self->pg->conninfo, '-c', 'SET vacuum_cost_delay = 1', map({ ('-c', $_) } ('VACUUM (ANALYZE, FREEZE)', 'CHECKPOINT') x 100)], "$self->{dir}/house.out");
	return;
}

# The service gets one processor for a small part of the time: stopped and continued in turn, as cpulimit and cgroups do.
sub starve
{
	my ($self, $run_ms, $stop_ms) = @_;
	my $product = $self->{pid}{product};

	$self->{pid}{starver} = fork // croak "fork: $!";
	return if $self->{pid}{starver};
	my $done;
	$SIG{TERM} = sub { $done = 1 };
	while (!$done && kill 'STOP', $product)
	{
		sleep $stop_ms / 1000;
		kill 'CONT', $product;
		sleep $run_ms / 1000;
	}
	POSIX::_exit(0);
}

# --- the network ---

sub hold_namespace
{
	my ($self, $name) = @_;

	$self->{pid}{$name} = PgweirTest::spawn(['unshare', '-n', 'sleep', '3600'], "$self->{dir}/$name.out");
	PgweirTest::eventually { readlink("/proc/$self->{pid}{$name}/ns/net") ne readlink('/proc/self/ns/net') } 'a network namespace';
	return $self->{pid}{$name};
}

sub inside { my ($pid, @command) = @_; system('nsenter', '-t', $pid, '-n', '--', @command) == 0 or croak "@command failed"; return; }

sub make_network
{
	my ($self) = @_;
	my $services = $self->hold_namespace('services');
	my $middle = $self->hold_namespace('middle');

	system('ip', 'link', 'set', 'lo', 'up') == 0 or croak 'ip failed';
	for my $end (['weir0', 'left0', $$, $server_ip], ['shop0', 'right0', $services, $service_ip])
	{
		my ($outer, $inner, $pid, $ip) = @$end;

		system('ip', 'link', 'add', 'name', $outer, 'type', 'veth', 'peer', 'name', $inner) == 0 or croak 'ip link failed';
		system('ip', 'link', 'set', $inner, 'netns', $middle) == 0 or croak 'ip link failed';
		system('ip', 'link', 'set', $outer, 'netns', $pid) == 0 or croak 'ip link failed' if $pid != $$;
		inside($middle, 'ip', 'link', 'set', $inner, 'up');
		inside($pid, 'ip', 'address', 'add', "$ip/24", 'dev', $outer);
		inside($pid, 'ip', 'link', 'set', $_, 'up') for 'lo', $outer;
	}
	pipe my $read, $self->{wire_control} or croak "pipe: $!";
	$self->{wire_control}->autoflush(1);
	$self->{pid}{wire} = fork // croak "fork: $!";
	return if $self->{pid}{wire};
	open STDIN, '<&', $read or POSIX::_exit(127);
	close $self->{wire_control};
	exec 'nsenter', '-t', $middle, '-n', '--', "$bin/delay", 'left0', 'right0' or POSIX::_exit(127);
}

# What share of the packets to the sidecar gets lost from now on, in each direction.
sub drop_packets
{
	my ($self, $share) = @_;
	my ($iptables) = grep { -x } '/usr/sbin/iptables', map { "$_/iptables" } split /:/, $ENV{PATH};

	inside($_->[0], $iptables, '-A', 'INPUT', '-i', $_->[1], '-m', 'statistic', '--mode', 'random', '--probability', $share, '-j', 'DROP')
	  for [$$, 'weir0'], [$self->{pid}{services}, 'shop0'];
	return;
}

sub delay_packets { my ($self, $ms) = @_; print { $self->{wire_control} } "$ms\n"; return; }

1;
