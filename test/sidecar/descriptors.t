# The limit of open files: raised at start as far as permitted; what it leaves no room for is said, and turned away rather than left waiting.  When
# descriptors run out all the same, those who have theirs are served.
use PgweirTest;

my $pg = server(preload => '');
my ($w, $room, @c);

sub limited { my ($soft, $hard, $clients) = @_; return sidecar($pg, under => ['prlimit', "--nofile=$soft:$hard"], settings => {max_client_conn => $clients, default_pool_size => 5, worker_threads => 2, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even'}); }
sub refused { my $f = $w->wire(may_fail => 1)->{failed} // {C => '-', M => 'none'}; return "$f->{C} $f->{M}"; }

$w = limited(60, 2000, 1000);
like(slurp("/proc/$w->{pid}/limits"), qr/^Max open files\s+10\d\d\s+2000/m, 'what max_client_conn needs is taken');
like($w->log, qr/kernel file descriptor limit: 10\d\d; max_client_conn: 1000, max expected fd use: 10\d\d\n/, '... and said');
unlike($w->log, qr/limit of open files/, '... without a warning');
$w->stop;

$w = limited(60, 150, 1000);
like(slurp("/proc/$w->{pid}/limits"), qr/^Max open files\s+150\s+150/m, 'no further than permitted');
like($w->log, qr/WARNING the limit of open files is 150, but max_client_conn = 1000 and the pools may need 10\d\d: raise it \(ulimit -n, LimitNOFILE=, and fs.nr_open\), or lower max_client_conn/, '... and what it would take is said');
($room) = $w->log =~ /no more than (\d+) clients are let in/;
cmp_ok($room // 0, '>', 50, '... with how many clients it is good for');
@c = map { $w->wire } 1 .. $room;
is(refused(), '08P01 no more connections allowed (limit of open files)', 'one more is told so at once');
is_deeply([map { $c[$_]->value("select $_") } 0, $room - 1], [0, $room - 1], '... and those who are there are served');
(pop @c)->disconnect;
eventually { refused() eq '- none' } 'whoever leaves makes room';
pass('... for another');
$w->stop;

sub permit { my ($files) = @_; my ($status, undef, $said) = run_program(['prlimit', '--pid', $w->{pid}, "--nofile=$files:"]); die $said if $status; return; }
sub small { my ($c) = @_; return join '', map { $c->value("select $_") } 1 .. 9; }

for my $backend ('epoll', 'auto')
{
	$w = sidecar($pg, settings => {event_backend => $backend, worker_threads => 2, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even', server_login_retry => 0.05});
	my ($uses) = $w->log =~ /using (io_uring)/;
	$uses //= 'epoll';
	my ($c, $d) = map { $w->wire } 1 .. 2;
	small($_) for $c, $d;
	$c->ask('begin');
	my @busy; # with what else there is of servers
	eventually {
		my $pool = $w->pool('postgres', 'postgres');
		return 1 if $pool->{sv_active} > @busy && !grep { $pool->{$_} } qw(sv_idle sv_used sv_tested sv_login);
		(push @busy, $w->wire) && $busy[-1]->ask('begin') if $pool->{sv_idle};
		return 0;
	} 'no server to spare';
	my $mark = $w->log_mark;
	permit(5);
	$d->send(PgWire::query("select 'd'"));
	$w->wait_log(qr/connect failed: Too many open files/, $mark);
	pass("$uses: without descriptors no server can be connected to, which is said");
	my $late = PgWire->open_socket(port => $w->{port});
	$late->send(PgWire::startup(user => 'postgres', database => 'postgres'));
	$w->wait_log(qr/WARNING could not accept a connection on .*: Too many open files/, $mark);
	pass('... nor a client be accepted');
	is(small($c), '123456789', '... who has a server is served');
	$c->ask('commit');
	is($d->until_ready->{rows}[0][0], 'd', '... and who waits for one gets that');
	is(small($_), '123456789', '... and goes on') for $c, $d;
	permit(1000);
	$late->log_in;
	is($late->{failed}, undef, '... the client is let in as soon as there are some');
	is(small($late), '123456789', '... and served');
	$w->end;
}
done_testing;
