# Four workers decide as one: limits hold exactly whatever stays with a worker between transactions, nobody starves beside servers that others keep, and
# deadlines, admission and the slow lane act on the pool as a whole.
use PgweirTest;

my $pg = server(preload => '', conf => {max_connections => 60});
$pg->sql('create role other login superuser; create role job login superuser');
PgweirTest::run_program(['pgbench', '-iq', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', 'postgres']);
my $dir = PgweirTest::new_dir('one');
my ($w, @c);

sub weir { my ($settings, %o) = @_; undef @c; if ($w) { $w->stop; eventually { backends() == 0 } 'all has ended'; } return $w = sidecar($pg, settings => {worker_threads => 4, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even', admission => 0, %$settings}, auth => {map { ($_ => '') } qw(postgres other job)}, %o); }
sub backends { my ($where) = @_; return $pg->sql("select count(*) from pg_stat_activity where backend_type = 'client backend' and application_name <> current_setting('application_name')" . ($where // '')); }
sub load_command { my ($user, @args) = @_; return ['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', $user, @args, 'postgres']; }
sub load_of { my ($user, @args) = @_; my ($status, $out) = run_program(load_command($user, @args)); return ($out =~ /actually processed: (\d+)/)[0] . " $status"; }
my $loads = 0;
sub steady { my ($user, @args) = @_; return PgweirTest::spawn(load_command($user, @args), "$dir/load" . $loads++); }
sub totals { my ($sum) = (0); $sum += $_->{$_[0]} for grep { $_->{database} eq 'postgres' } @{$w->console('show stats_totals')}; return $sum; }

# --- rules of [limits] ---
# Each statement counts those of its kind that run, itself included, and fails when there are too many: the server tells that one has ended before the sidecar hears
# of it.
{
	PgweirTest::write_file("$dir/counted", "select 1 / (count(*) <= 3)::int from pg_stat_activity where state = 'active' and query like '%of a kind%'; /* of a kind */\n", 0644);
	weir({default_pool_size => 10}, ini => "[limits]\nkind = user=job max_active=3\n");
	my $beside = steady('job', '-S', '-c', 2, '-j', 2, '-t', 600); # takes places, too
	is(load_of('job', '-f', "$dir/counted", '-c', 10, '-j', 2, '-t', 150), '1500 0', "a rule's max_active is never exceeded");
	is(PgweirTest::reap($beside), 0, '... and who is parked gets his turn');
	my ($row) = @{$w->console('show limits')};
	is("$row->{active} $row->{waiting}", '0 0', '... all places are back') or diag explain $row;
}

# --- limits that pools share ---
for my $limit (qw(max_db_connections max_user_connections))
{
	my $most = 0;
	my @users = $limit eq 'max_db_connections' ? qw(postgres other) : ('postgres');

	weir({default_pool_size => 4, $limit => 4, query_wait_timeout => 100}, databases => {postgres => 'dbname=postgres', second => 'dbname=postgres'});
	my ($c, $status);
	my $n = 0;
	# a slow machine may need several loads to see enough
	for (1 .. 10)
	{
		# the first keeps all of them busy, and none of them idle for long
		my $first = steady('postgres', '-S', '-c', 4, '-j', 2, '-T', 5);
		undef $status;
		eventually { backends() == 4 || defined($status = PgweirTest::reap($first, 0)) } 'all places are taken';
		# ... and yet there is room for a second pool
		$c //= $w->wire(user => $users[-1], dbname => @users > 1 ? 'postgres' : 'second');
		until (defined($status //= PgweirTest::reap($first, 0)))
		{
			# (a backend that was told to end may outlive its connection for a moment)
			my $now = @{$w->console('show servers')};

			$most = $now if $now > $most;
			last if $c->ask('select 1')->{error};
			$n++;
		}
		$status //= PgweirTest::reap($first);
		last if $status || $n >= 5;
	}
	is($status, 0, "$limit: a load that has taken all of it goes on");
	cmp_ok($n, '>=', 5, '... and a second pool is served beside it');
	cmp_ok($most, '<=', 4, '... within the limit, at any time');
}

# --- nobody starves ---
# Two clients keep both servers with their workers; a third one, which has neither, is served all the same.
weir({default_pool_size => 2, query_wait_timeout => 100});
my ($third, $asked, $end) = ($w->wire, 0);
for (1 .. 10)
{
	my $pair = steady('postgres', '-S', '-c', 2, '-j', 2, '-T', 3);

	until (defined($end = PgweirTest::reap($pair, 0))) { last if $third->ask('select 1')->{error}; $asked++; }
	$end //= PgweirTest::reap($pair);
	last if $end || $asked >= 20;
}
is($end, 0, 'who keeps a server goes on');
cmp_ok($asked, '>=', 20, '... and who has none is served as well');
undef $third;
# Idle ones, kept by another worker: the next client gets one rather than a new one, or nothing.
weir({default_pool_size => 1});
@c = map { $w->wire } 1 .. 4;
my %pids;
for my $turn (1 .. 40) { $pids{$c[$turn % 4]->value('select pg_backend_pid()')}++ for 1 .. 10; }
is(scalar(keys %pids), 1, 'the spare server of a worker is what the client of another gets');
undef @c;

# --- deadlines and admission ---
weir({default_pool_size => 1, admission => 1});
@c = map { $w->wire } 1 .. 10;
# the class is learned by one worker
$c[0]->ask('select pg_sleep(0.3)') for 1 .. 3;
$c[0]->ask('begin');
$_->send(PgWire::query('select pg_sleep(0.3)')) for @c[1 .. 5];
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 5 } 'a queue of clients of all workers';
my $late = $c[6]->ask("/* pgweir_deadline='50ms' */ select 1");
like($late->{error}{C}, qr/^(?:57014|53300)$/, 'a deadline of 50 ms in a queue of others passes, or is foreseen to');
my $hopeless;
for (1 .. 20)
{
	# one may be let in to measure the class anew, but no other within a quarter of a second
	$_->send(PgWire::query("/* pgweir_deadline='500ms' */ select pg_sleep(0.3)")) for @c[6 .. 9];
	($hopeless) = sort { $a cmp $b } map { $_->until_ready->{error}{C} // 'none' } @c[6 .. 9];
	last if $hopeless eq '53300';
}
is($hopeless, '53300', 'admission counts who waits with other workers');
$c[0]->ask('commit');
is($_->until_ready->{error}, undef, 'who has no deadline is served') for @c[1 .. 5];
undef @c;

# --- the slow lane ---
# Each slow statement counts those that run, as above; quick ones are about all the time.
{
	PgweirTest::write_file("$dir/slow", "select 1 / (count(*) <= 2)::int, pg_sleep(0.2) from pg_stat_activity where state = 'active' and query like '%so slow%'; /* so slow */\n", 0644);
	weir({default_pool_size => 4, admission => 1, slow_lane_share => '50%'});
	my $quick = steady('postgres', '-S', '-c', 2, '-j', 1, '-T', 100);
	eventually { totals('xact_count') > 500 } 'what is quick is known';
	is(load_of('postgres', '-f', "$dir/slow", '-c', 1, '-t', 8), '8 0', 'what is slow becomes known');
	# (when nothing quick has come for a second, as when the machine stands still, slow ones may have all servers)
	my $shared;
	for (1 .. 8) { $shared = load_of('postgres', '-f', "$dir/slow", '-c', 6, '-j', 2, '-t', 5); last if $shared eq '30 0'; }
	is($shared, '30 0', 'the slow statements of all workers share one slow lane');
	kill INT => $quick;
	PgweirTest::reap($quick);
}

# --- figures ---
weir({default_pool_size => 10});
# (pgbench asks some things of its own first, once or twice)
my %before;
load_of('postgres', '-S', '-c', 8, '-j', 2, '-t', 10);
$before{$_} = totals($_) for qw(xact_count query_count);
my $own = $before{xact_count} - 80;
my @loads = map { steady('postgres', '-S', '-c', 4, '-j', 2, '-t', 800) } 1 .. 3;
my $last = 0;
my $monotonic = 1;
until (!grep { !defined } map { $loads[$_] == 0 ? 0 : defined(my $s = PgweirTest::reap($loads[$_], 0)) ? ($loads[$_] = 0) : undef } 0 .. 2)
{
	my $now = totals('xact_count');

	$monotonic = 0 if $now < $last;
	$last = $now;
}
ok($monotonic, 'SHOW STATS only grows while all workers count');
is(totals('xact_count') - $before{xact_count}, 3 * (3200 + $own), '... and in the end has counted each transaction once');
is(totals('query_count') - $before{query_count}, 3 * (3200 + $before{query_count} - 80), '... and each query');
is($w->stop('INT'), 0, 'it ends');
done_testing;
