# Cancel requests reach the statement they were meant for, and no other.
use PgweirTest;
use Time::HiRes 'time';

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2});
my ($c, $d, $e) = map { $w->wire } 1 .. 3;
my $a;

sub running { my ($text) = @_; return eventually { $pg->sql("select pid from pg_stat_activity where state = 'active' and query like '%$text%' and pid <> pg_backend_pid() and query not like '%pg_stat_activity%' limit 1") } "$text runs"; }

$c->send(PgWire::query('select pg_sleep(3100)'));
running('3100');
$c->cancel;
$a = $c->until_ready;
is("$a->{error}{C} $a->{error}{M} $a->{status}", '57014 canceling statement due to user request I', 'a running statement is cancelled');
is($c->value('select 1'), 1, 'and the session goes on');
$c->cancel;
is($c->value('select 2'), 2, 'a cancel of an idle session does nothing');
$c->ask('begin');
$c->cancel;
is($c->ask('select 3')->{status}, 'T', 'nor one between statements of a transaction');
$c->ask('rollback');

$_->send(PgWire::query('select pg_sleep(3200)')) for $d, $e;
running('3200');
$c->send(PgWire::query('select 4'));
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'it waits';
$c->cancel;
$a = $c->until_ready;
is("$a->{error}{C} $a->{status}", '57014 I', 'a statement in the queue is cancelled');
is(scalar(() = IO::Select->new(map { $_->{socket} } $d, $e)->can_read(0)), 0, '... at once: while the servers are busy');
$c->send(PgWire::extended('select 5'), PgWire::query('select 6'));
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'it waits';
$c->cancel;
is($c->until_ready->{error}{C}, '57014', 'in the extended protocol too');
$_->cancel for $d, $e;
is($_->until_ready->{error}{C}, '57014', 'the others are cancelled') for $d, $e;
is($c->until_ready->{rows}[0][0], 6, 'the rest of the pipeline is answered');
my $stranger = PgWire->open_socket(port => $w->{port});
$stranger->send(PgWire::cancel_request('\0\1\2\3wxyz'));
ok(!$stranger->fill, 'a key nobody has is closed without a word');

subtest 'in a group whose Sync has not come' => sub {
	my $v = $w->wire;

	$v->send(PgWire::parse('', 'select pg_sleep(3500)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
	running('3500');
	$v->cancel;
	while (my $m = $v->next_message) { next if $m->{type} ne 'E'; is(PgWire::error_fields($m->{payload})->{C}, '57014', 'the statement is cancelled'); last; }
	$v->send(PgWire::sync());
	is($v->until_ready->{status}, 'I', '... and the session goes on');
};
subtest 'a client that vanishes' => sub {
	my $v = $w->wire;

	$v->send(PgWire::query('select pg_sleep(3300)'));
	my $pid = running('3300');
	$v->vanish;
	eventually { $pg->sql("select state from pg_stat_activity where pid = $pid") eq 'idle' } 'the statement is cancelled';
	pass('its statement is cancelled');
	$v = $w->wire;
	$v->ask('begin');
	$pid = $v->value('select pg_backend_pid()');
	$v->vanish;
	eventually { $pg->sql("select state from pg_stat_activity where pid = $pid") eq 'idle' } 'the transaction is rolled back';
	pass('its transaction is rolled back, and the server kept');
	$v = $w->wire;
	$v->ask('create table if not exists t(a int)');
	$v->send(PgWire::query('copy t from stdin'));
	is($v->next_message->{type}, 'G', 'a COPY');
	$v->send(PgWire::copy_data("1\n"));
	$v->vanish;
	eventually { $pg->sql("select count(*) from pg_stat_activity where state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()") == 0 } 'the copy ends';
	is($pg->sql('select count(*) from t'), 0, 'the half of a COPY is not kept');
	$v = $w->wire;
	$v->send(PgWire::parse('', 'select pg_sleep(3400)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
	running('3400');
	$v->vanish;
	eventually { $pg->sql("select count(*) from pg_stat_activity where state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()") == 0 } 'the group ends';
	pass('a group without its Sync is ended');
	for my $begin ('', 'begin')
	{
		$v = $w->wire;
		$v->ask($begin) if $begin;
		$v->send(PgWire::parse('', 'insert into t values (5)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		while (my $m = $v->next_message) { last if $m->{type} eq 'C'; }
		$v->vanish;
		eventually { $pg->sql("select count(*) from pg_stat_activity where state <> 'idle' and backend_type = 'client backend' and pid <> pg_backend_pid()") == 0 } 'the group ends';
		is($pg->sql('select count(*) from t'), 0, '... and nothing of it is committed' . ($begin && ', in a transaction block'));
	}
	# (the backend of one that was closed may live on for a moment)
	eventually { $pg->sql("select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()") <= 2 } 'no more backends than the pool may have';
	cmp_ok(scalar @{$w->console('show servers')}, '<=', 2, 'no more servers than the pool may have');
};

subtest 'racing cancels never hit another statement' => sub {
	my $tagged = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2});
	my @clients = map { $tagged->wire } 1 .. 8;
	my ($sent, $hit, $wrong, $missed) = (0, 0, 0, 0);
	my $end = time + ($ENV{CANCEL_SECONDS} || 6);
	my $latest = $end + 60;

	# Each round: a statement with a deadline that may or may not be reached, or one that must never be cancelled; both share two servers.
	srand 7;
	while (time < $end || $hit <= 10 && time < $latest)
	{
		my @expect;

		for my $client (@clients)
		{
			my $victim = rand() < 0.5;
			my $us = 500 + int rand 4000;

			$client->send(PgWire::query($victim ? "/* pgweir_deadline='2ms' */ select pg_sleep($us / 1e6)" : 'select 42'));
			push @expect, $victim;
		}
		for my $i (0 .. $#clients)
		{
			my $a = $clients[$i]->until_ready;

			$sent++;
			if ($expect[$i]) { $a->{error} ? $hit++ : $missed++; }
			elsif ($a->{error} || $a->{rows}[0][0] != 42) { $wrong++; }
		}
	}
	note("$sent statements, $hit reached their deadline, $missed did not, $wrong wrong hits");
	is($wrong, 0, 'no statement without a deadline was cancelled');
	cmp_ok($hit, '>', 10, 'many with one were');
};
done_testing;
