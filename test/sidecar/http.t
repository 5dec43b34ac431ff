# The HTTP endpoint: health, readiness, metrics in both formats, JSON; bounded, read-only, and it says when its address is taken.
use PgweirTest;
use JSON::PP ();

$SIG{PIPE} = 'IGNORE';
my $pg = server();
my $dead_port = free_port;
my $port = free_port;
my $w = sidecar($pg, databases => {shop => 'dbname=postgres', 'odd\\name' => 'dbname=postgres', dead => "port=$dead_port dbname=postgres"},
	settings => {http_listen => "127.0.0.1:$port", log_pooler_errors => 0, server_login_retry => 1}, auth => {postgres => 'top-secret-1', admin => ''});

sub open_http { my ($to) = @_; return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to // $port, Proto => 'tcp') // die "HTTP: $!"; }
sub read_all { my ($socket) = @_; my $text = ''; local $SIG{ALRM} = sub { die "HTTP: no end\n" }; alarm $PgweirTest::TIMEOUT; while (sysread $socket, $text, 65536, length $text) { } alarm 0; return $text; }
# One request: (status, body, head).
sub get
{
	my ($path, %o) = @_;
	my $socket = open_http($o{port});
	my $method = $o{method} // 'GET';

	print {$socket} "$method $path HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" . ($o{head} // '') . "\r\n" . ($o{body} // '');
	$socket->flush;
	my ($head, $body) = split /\r\n\r\n/, read_all($socket), 2;
	my ($status) = $head =~ m{^HTTP/1\.1 (\d+)} or die "HTTP: $head";
	return wantarray ? ($status, $body, $head) : "$status $body";
}
sub status { my ($status) = get(@_); return $status; }

subtest 'health' => sub {
	is(scalar get('/healthz'), "200 ok\n", 'healthy before anybody has come: the server was probed');
	is(scalar get('/readyz/shop'), "200 ok\n", 'a database is ready');
	is(scalar get('/readyz/odd%5Cname'), "200 ok\n", 'a name in percent encoding');
	like(scalar get('/readyz/dead'), qr/^503 database "dead": 127\.0\.0\.1:$dead_port: Connection refused\n/, 'one without a server is not');
	like(scalar get('/readyz'), qr/^503 database "dead": .*Connection refused\n$/, 'nor are all of them');
	is(status('/readyz/unknown'), 404, 'an unknown one');
	is(status('/readyz/pgbouncer'), 404, 'the console is none');
	my $c = $w->wire(dbname => 'shop');
	is($c->value('select 1'), 1, 'a client');
	is(scalar get('/healthz'), "200 ok\n", 'healthy with clients');
};

subtest 'what stops it' => sub {
	my $c = $w->wire(dbname => 'shop');

	$w->console('pause shop');
	is(scalar get('/readyz/shop'), qq(503 database "shop": paused\n), 'PAUSE of a database');
	is(status('/healthz'), 200, 'does not make the process unhealthy');
	$w->console('resume shop');
	$w->console('disable shop');
	is(scalar get('/readyz/shop'), qq(503 database "shop": disabled\n), 'DISABLE');
	$w->console('enable shop');
	is(status('/readyz/shop'), 200, 'ENABLE');
	$w->console('pause');
	is(scalar get('/healthz'), "503 paused\n", 'PAUSE of all');
	is(scalar get('/readyz/shop'), "503 paused\n", 'nobody is ready then');
	$w->console('resume');
	is(status('/healthz'), 200, 'RESUME');
	is($c->value('select 2'), 2, 'the client was not hurt');
	close $c->{socket};
	$pg->stop;
	eventually { scalar(get('/healthz')) =~ /^503 .*Connection refused/ } 'the loss of the server to be noticed';
	like(scalar get('/healthz'), qr/^503 .*database "shop": 127\.0\.0\.1:$pg->{port}: Connection refused\n/s, 'no server: with the reason');
	$pg->start;
	eventually { status('/healthz') == 200 } 'it to be noticed that it is back, though no client comes';
	pass('and back');
};

subtest 'a server that refuses logins' => sub {
	$w->{databases}{nothere} = 'dbname=nothere';
	$w->write_config;
	$w->reload;
	is(status('/readyz/nothere'), 200, 'unknown so far');
	# (until the next try is due, which on a slow machine it may be by then)
	my $said;
	eventually { $w->wire(dbname => 'nothere', password => 'top-secret-1', may_fail => 1)->{failed} or die 'a login that should fail'; ($said = scalar get('/readyz/nothere')) =~ /^503/ } 'a failed login';
	like($said, qr/^503 database "nothere": .*database "nothere" does not exist/, 'refused: not ready');
	eventually { status('/readyz/nothere') == 200 } 'the next try to be due';
	pass('then it may be tried again');
};

# The panels of the dashboard ask for metrics that there are, with labels that these have.
sub check_dashboard
{
	my ($text) = @_;
	my $board = JSON::PP->new->decode(slurp("$ENV{PGWEIR_TOP}/etc/grafana.json"));
	my @asked = map { $_->{expr} } map { @{$_->{targets} // []} } @{$board->{panels}};
	my %there = map { /^(pgweir_\w+)(?:\{(.*)\})? / ? ($1 => $2 // '') : () } split /\n/, $text;
	my @wrong;

	for my $expr (@asked)
	{
		my %label = map { $_ => 1 } map { split /\s*,\s*/ } $expr =~ /\bby\s*\(([^)]*)\)/g;
		my @names = $expr =~ /\b(pgweir_\w+)/g;

		push @wrong, "$expr: no metric" unless @names;
		for my $name (@names)
		{
			push @wrong, "$expr: there is no $name" and next unless exists $there{$name};
			push @wrong, map { "$expr: $name has no label $_" } grep { $there{$name} !~ /\b$_="/ && !/^(?:instance|job)$/ } keys %label;
		}
	}
	cmp_ok(scalar @asked, '>=', 10, 'the dashboard asks for something');
	is(join("\n", @wrong), '', 'and it is there');
	return;
}

subtest 'metrics' => sub {
	my $c = $w->wire(dbname => 'shop', params => {application_name => qq(a "quoted" \\ name)});
	my $d = $w->wire(dbname => 'odd\\name');

	$c->ask('select 1') for 1 .. 10;
	$c->ask('select 1/0');
	$d->ask('select 1');
	for my $accept ('', "Accept: application/openmetrics-text; version=1.0.0,text/plain;q=0.5\r\n")
	{
		my ($status, $text, $head) = get('/metrics', head => $accept);
		my $open = $accept ne '';

		is($status, 200, $open ? 'OpenMetrics' : 'the older format');
		like($head, $open ? qr{^Content-Type: application/openmetrics-text; version=1\.0\.0; charset=utf-8\r?$}mi : qr{^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r?$}mi, 'its type');
		is(join("\n", check_metrics($text, $open)), '', 'its form');
		like($text, qr/^pgweir_requests_total\{database="shop",user="postgres"\} 1[0-9]$/m, 'requests');
		like($text, qr/^pgweir_run_seconds_count\{database="shop",user="postgres"\} 1[0-9]$/m, 'their histogram');
		like($text, qr/^pgweir_errors_total\{database="shop",user="postgres",sqlstate="22012"\} 1$/m, 'errors');
		like($text, qr/^pgweir_requests_total\{database="odd\\\\name",user="postgres"\} 1$/m, 'a name that needs escapes');
		like($text, qr/^pgweir_application_requests_total\{application="a \\"quoted\\" \\\\ name",database="shop"\} 11$/m, 'by application');
		like($text, qr/^pgweir_servers\{database="shop",user="postgres",state="idle"\} 1$/m, 'servers');
		unlike($text, qr/top-secret/, 'no secrets');
		check_dashboard($text) unless $open;
		SKIP: {
			skip 'promtool is not installed', 1 if $open || !grep { -x "$_/promtool" } split /:/, $ENV{PATH};
			my ($code, $out, $err) = run_program(['promtool', 'check', 'metrics'], stdin => $text);
			is("$code$out$err", '0', 'promtool has nothing to say');
		}
		SKIP: {
			my $parse = 'import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as p; print(sum(1 for f in p(sys.stdin.read())))';
			skip 'no parser of OpenMetrics is installed', 1 if !$open || run_program(['/usr/bin/python3', '-c', 'import prometheus_client.openmetrics.parser']) ;
			my ($code, $out, $err) = run_program(['/usr/bin/python3', '-c', $parse], stdin => $text);
			ok($code == 0 && $out > 20, 'a strict parser takes it') or diag($err);
		}
	}
};

subtest 'JSON' => sub {
	require JSON::PP;
	my ($status, $text, $head) = get('/json');
	my $json = JSON::PP->new->decode($text);
	my ($shop) = grep { $_->{db} eq 'shop' } @{$json->{pools}};

	is($status, 200, 'is there');
	like($head, qr{^Content-Type: application/json\r?$}mi, 'and says so');
	is($json->{pid}, $w->pid, 'of this process');
	cmp_ok($shop->{queries}, '>=', 11, 'counters since the start');
	my ($again) = grep { $_->{db} eq 'shop' } @{JSON::PP->new->decode(scalar((get('/json'))[1]))->{pools}};
	is($again->{queries}, $shop->{queries}, 'also the second time');
	ok(exists $json->{apps} && exists $json->{net}{clients}, 'applications and sockets');
};

subtest 'other requests' => sub {
	is(status('/'), 404, 'an unknown path');
	is(status('/healthz', method => 'POST', head => "Content-Length: 5\r\n", body => 'hello'), 405, 'POST');
	is(status('/healthz', method => 'DELETE'), 405, 'DELETE');
	my ($status, $body, $head) = get('/metrics', method => 'HEAD');
	is("$status|" . ($body // ''), '200|', 'HEAD has no body');
	my $long = eval { status('/healthz', head => 'X-Long: ' . 'x' x 30_000 . "\r\n") } // 'closed';
	ok($long eq 'closed' || $long >= 400, "a head that is too long: $long");
	my $socket = open_http();
	print {$socket} "not HTTP at all\r\n\r\n";
	unlike(read_all($socket), qr/200/, 'rubbish');
	$socket = open_http();
	print {$socket} "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz/shop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	is(scalar(() = read_all($socket) =~ m{HTTP/1\.1 200}g), 2, 'two requests in one connection');
};

subtest 'many connections' => sub {
	my @held = map { open_http() } 1 .. 100;

	print {$_} "GET /heal" for @held;
	my $c = $w->wire(dbname => 'shop');
	is($c->value('select 3'), 3, 'clients are served meanwhile');
	my ($files) = scalar(() = glob "/proc/$w->{pid}/fd/*");
	cmp_ok($files, '<', 90, 'they are not all held open');
	@held = ();
	eventually { (eval { status('/healthz') } // 0) == 200 } 'room for others again';
	pass('and make room when they go');
};

subtest 'a probe that gets no answer' => sub {
	# a full queue: connecting neither succeeds nor fails
	my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => free_port, Listen => 1, ReuseAddr => 1) or die $!;
	my @fill;
	for (1 .. 4) { my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0); push @fill, $s; }

	$w->{databases}{full} = 'dbname=postgres port=' . $full->sockport;
	$w->write_config;
	$w->reload;
	like(scalar get('/readyz/full'), qr/^503 database "full": 127\.0\.0\.1:\d+: no answer in time\n/, 'is not ready');
	my $waits = open_http();
	eventually { status('/readyz/shop') == 200 } 'others';
	print {$waits} "GET /readyz/full HTTP/1.1\r\nHost: a\r\n\r\n";
	close $waits;
	is(status('/healthz'), 200, 'who asks and leaves does no harm');
};

subtest 'its address' => sub {
	my $other = sidecar($pg, settings => {http_listen => "127.0.0.1:$port"}, start => 0);
	my ($code, $log) = $other->start_fails;

	is($code, 1, 'is taken: no start');
	like($log, qr/FATAL could not listen on 127\.0\.0\.1:$port for HTTP \(http_listen\): bind: Address already in use/, 'it is said');
	for my $bad ('nonsense', '127.0.0.1', ':9127', '::1:9127', '127.0.0.1:0', '127.0.0.1:99999')
	{
		$other->set(http_listen => $bad);
		my ($status, $out) = run_program([PgweirTest::Sidecar::program(), '--check', $other->{file}]);
		ok($status == 1 && $out =~ /http_listen: "\Q$bad\E" is not HOST:PORT/, "$bad is refused") or diag($out);
	}
	my $alone = free_port;
	$other->set(http_listen => $alone);
	$other->start;
	is(status('/healthz', port => $alone), 200, 'a port alone is one of the loopback');
	$other->stop;
};

subtest 'shutting down' => sub {
	my $c = $w->wire(dbname => 'shop');

	$w->signal('TERM');
	eventually { (eval { get('/healthz') } // '') eq "503 shutting down\n" } 'it to be told';
	pass('is told as long as clients are there');
	close $c->{socket};
	is($w->wait_end, 0, 'and ends with them');
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();

# What is wrong with a text of metrics: lines that are none, families mixed up, histograms that do not add up.
sub check_metrics
{
	my ($text, $open) = @_;
	my (@wrong, %type, %help, %seen, %last, $family, %ended);
	my @lines = split /\n/, $text, -1;

	push @wrong, 'no newline at the end' if pop @lines ne '';
	push @wrong, 'no EOF' if $open && pop @lines ne '# EOF';
	for (@lines)
	{
		if (/^# (HELP|TYPE|UNIT) (pgweir_[a-z_]+) (\S.*)$/)
		{
			if (!defined $family || $2 ne $family)
			{
				$ended{$family} = 1 if defined $family;
				push @wrong, "family in two places: $_" if $ended{$2};
				$family = $2;
			}
			push @wrong, "twice: $_" if $seen{"$1 $2"}++;
			$type{$2} = $3 if $1 eq 'TYPE';
			$help{$2} = $3 if $1 eq 'HELP';
			push @wrong, "a unit that the name has not: $_" if $1 eq 'UNIT' && $2 !~ /_\Q$3\E$/;
			next;
		}
		if (!/^(pgweir_[a-z_]+?)(_total|_bucket|_count|_sum|_info)?(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\d+(?:\.\d+)?)$/) { push @wrong, "no sample: $_"; next; }
		my ($name, $suffix, $labels, $value) = ($1, $2 // '', $3 // '', $4);
		my $type = $type{$family};
		my $want = {counter => $open ? $family . '_total' : $family, gauge => $family, info => $family . '_info'}->{$type};
		push @wrong, "not of its family $family: $_" if defined $want ? "$name$suffix" ne $want : $name ne $family;
		push @wrong, "twice: $_" if $seen{"$name$suffix $labels"}++;
		push @wrong, "a counter without _total: $_" if $type eq 'counter' && $suffix ne '_total';
		next unless $type eq 'histogram';
		my $le = $labels =~ s/,?le="([^"]+)"// ? $1 : undef;
		if ($suffix eq '_bucket')
		{
			my ($bound, $count) = @{$last{$labels} // [-1, 0]};
			my $number = $le eq '+Inf' ? 9**9**9 : $le;
			push @wrong, "bounds or counts fall: $_" if $number <= $bound || $value < $count;
			push @wrong, "a bound that is no float: $_" if $open && $le ne '+Inf' && $le !~ /\./;
			$last{$labels} = [$number, $value];
		}
		elsif ($suffix eq '_count')
		{
			push @wrong, "the last bucket is another number: $_" if $last{$labels}[0] != 9**9**9 || $last{$labels}[1] != $value;
			delete $last{$labels};
		}
	}
	push @wrong, map { "no help: $_" } grep { !$help{$_} } keys %type;
	return @wrong;
}
