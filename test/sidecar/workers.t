# Several workers: clients and servers live on four threads, and yet it is one pooler: pools and limits are common and exact, whoever asks.
use PgweirTest;
use Time::HiRes qw(time sleep);

my $pg = server(preload => '', conf => {max_connections => 60});
$pg->sql('create role other login superuser');
PgweirTest::run_program(['pgbench', '-iq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', 'postgres']);
my %auth = (auth => {postgres => '', other => ''});
my ($w, @c, $a);

sub weir { my ($settings, %o) = @_; undef @c; if ($w) { $w->stop; eventually { backends() == 0 } 'all has ended'; } return $w = sidecar($pg, settings => {worker_threads => 4, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even', %$settings}, %auth, %o); }
sub pid { return $_[0]->value('select pg_backend_pid()'); }
sub backends { return $pg->sql("select count(*) from pg_stat_activity where backend_type = 'client backend' and application_name <> current_setting('application_name')"); }
sub transactions { my ($out) = @_; return ($out =~ /number of transactions actually processed: (\d+)/)[0] // 0; }
# A load in the background, looked at until it ends: (exit code, output).
sub under_load
{
	my ($look, @args) = @_;
	my $file = "$w->{dir}/pgbench";
	my $pid = PgweirTest::spawn(['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', 'postgres', @args, 'postgres'], $file);
	my $status;

	until (defined($status = PgweirTest::reap($pid, 0)))
	{
		$look->();
		sleep 0.02;
	}
	my $text = slurp($file);
	unlink $file;
	return ($status >> 8, $text);
}

my $script = PgweirTest::new_dir('script') . '/one.sql';
PgweirTest::write_file($script, "select 1;\n", 0644);

# admission would refuse on a slow machine what is to wait here
weir({default_pool_size => 1, admission => 0});
cmp_ok(scalar(() = glob "/proc/@{[$w->pid]}/task/*"), '>=', 4, 'four threads');
@c = map { $w->wire } 1 .. 8;
is(scalar(keys %{{map { pid($_) => 1 } @c, @c}}), 1, 'the one server of a pool serves the clients of every worker');
$c[0]->ask('begin');
$_->send(PgWire::query('select 7')) for @c[1 .. 7];
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 7 } 'all others wait';
$c[0]->ask('commit');
is(join(',', map { $_->until_ready->{rows}[0][0] } @c[1 .. 7]), join(',', (7) x 7), '... and each gets it in turn');
$c[0]->ask('begin');
$c[$_]->send(PgWire::query("/* pgweir_deadline='200ms' */ select $_")) for 1 .. 4;
is(join(',', map { $c[$_]->until_ready->{error}{C} } 1 .. 4), join(',', ('57014') x 4), 'a deadline passes in the queue of another worker');
$c[5]->send(PgWire::query('select 8'));
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'one waits';
$pg->sql('select pg_terminate_backend(' . pid($c[0]) . ')');
is($c[5]->until_ready->{rows}[0][0], 8, 'the place of a server that died is used by another worker');
undef @c;

weir({default_pool_size => 4});
@c = map { $w->wire } 1 .. 4;
$_->send(PgWire::query('select pg_sleep(30)')) for @c;
eventually { $pg->sql("select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'") == 4 } 'four run';
$_->cancel for @c;
is(join(',', map { $_->until_ready->{error}{C} } @c), join(',', ('57014') x 4), 'a cancel request finds the client, whichever worker gets it');
undef @c;

# whoever sees the connection of his request closed may rely on that it hits nothing that comes later: a few seconds of what `make stress-cancel` does,
# while clients are now with this worker, now with that one
my $stress = PgweirTest::new_dir('stress') . '/cancel';
my ($failed_cc, $out_cc, $err_cc) = run_program(['sh', '-c', ($ENV{CC} // 'cc') . " -O2 -o $stress " . PgweirTest::top() . '/test/stress/cancel.c $(pkg-config --cflags --libs libpq) -lpthread']);
die "$out_cc$err_cc" if $failed_cc;
weir({default_pool_size => 9, admission => 0, worker_spread => 'roam'});
my ($hits, $told, $complained) = run_program([$stress, $w->conninfo, 4, 12, int time]);
is($hits, 0, '... and has been dealt with when its connection is closed: it hits nothing that comes later') or diag $told, substr $complained, 0, 1000;

# --- limits ---
weir({default_pool_size => 3, max_client_conn => 6});
@c = map { $w->wire } 1 .. 6;
eval { $w->wire };
like($@, qr/max_client_conn/, 'max_client_conn counts the clients of all workers');
(pop @c)->disconnect;
eventually { eval { push @c, $w->wire } } 'a place is free';
undef @c;

weir({default_pool_size => 3, max_db_connections => 4, query_wait_timeout => 100});
my $most = 0;
my ($status, $out) = under_load(sub { my $n = backends(); $most = $n if $n > $most; }, '-f', $script, '-c', 12, '-j', 2, '-t', 600);
is("$status " . transactions($out), '0 7200', 'more clients than servers: nobody starves');
cmp_ok($most, '<=', 3, 'default_pool_size is kept at any time');
my ($stats) = grep { $_->{database} eq 'postgres' } @{$w->console('show stats_totals')};
is($stats->{xact_count}, 7200, 'the statistics of the workers add up');
$most = 0;
my $second = PgweirTest::spawn(['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', 'other', '-S', '-c', 6, '-j', 2, '-t', 600, 'postgres'], "$w->{dir}/second");
($status, $out) = under_load(sub { my $n = @{$w->console('show servers')}; $most = $n if $n > $most; }, '-S', '-M', 'prepared', '-c', 6, '-j', 2, '-t', 600);
is("$status " . transactions($out), '0 3600', 'two pools that share a limit');
is(PgweirTest::reap($second), 0, '... serve both');
cmp_ok($most, '<=', 4, '... max_db_connections is kept at any time');

# --- the console while all of them work ---
weir({default_pool_size => 5});
my $turn = 0;
my @commands = ('show clients', 'show servers', 'show pools', 'reload', 'reconnect', 'pause', 'resume', 'show sockets', 'show lists', 'show mem');
my $failed = '';
for (1 .. 20)
{
	($status, $out) = under_load(sub { my $command = $commands[$turn++ % @commands]; eval { $w->console($command); 1 } or $failed .= "$command: $@"; }, '-S', '-M', 'prepared', '-c', 10, '-j', 2, '-T', 3);
	last if $status || $failed ne '' || $turn > 2 * @commands;
	$w->console('resume') if (grep { $_->{key} eq 'paused' } @{$w->console('show state')})[0]{value} eq 'yes';
}
is($failed, '', 'commands are carried out under load');
is($status, 0, '... and no client notices') or diag $out;
cmp_ok($turn, '>', 10, '... whichever command it is');
eval { $w->console('resume') };
is($w->wire->value('select 9'), 9, '... nor later');
($status, $out) = under_load(sub { $w->console('show clients') }, '-S', '-C', '-c', 6, '-j', 2, '-t', 60);
is("$status " . transactions($out), '0 360', 'clients come and go');
is($w->stop('INT'), 0, 'it ends');
done_testing;
