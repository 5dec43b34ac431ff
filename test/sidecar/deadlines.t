# Deadlines: the answer comes in time, as an ERROR, and the session and the server connection go on.
use PgweirTest;

my $pg = server;
$pg->sql('create extension pgweir');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2, deadline_grace => '60s', server_login_retry => 1, admission => 0});
my $c = $w->wire;
my $other = $w->wire;
my $a;

sub timed { my $t = Time::HiRes::time(); my $a = $_[0]->(); $a->{ms} = (Time::HiRes::time() - $t) * 1000; return $a; }
sub expired
{
	my ($a, $what, %o) = @_;

	is($a->{error}{C} // 'no error', '57014', "$what: 57014");
	is($a->{error}{M}, 'canceling statement due to query deadline', "$what: says why");
	is($a->{error}{S}, 'ERROR', "$what: severity ERROR");
	like($a->{error}{D}, $o{detail} // qr/^Deadline \d+ ms: waited \d+ ms for a server connection, ran \d+ ms\.$/, "$what: tells wait and run");
	is($a->{status}, $o{status} // 'I', "$what: transaction status");
	cmp_ok($a->{ms}, '>=', $o{least}, "$what: not before its time") if $o{least};
	cmp_ok($a->{ms}, '<', 20_000, "$what: long before the statement would have ended");
	return;
}

# Statements that have a deadline and shall keep it: all of them again until that is so.  What each is told is looked at elsewhere.
sub insist { my ($c, @sql) = @_; return eventually { (grep { $c->ask($_)->{error} } @sql) ? ($c->ask('rollback'), 0)[1] : 1 } "in time: @sql"; }

# The first statement of a pool waits for its server to be opened.
$c->ask('select 1');
expired(timed(sub { $c->ask("/* pgweir_deadline='200ms' */ select pg_sleep(30)") }), 'comment in front', least => 200, detail => qr/^Deadline 200 ms: waited 0 ms/);
expired(timed(sub { $c->ask("select pg_sleep(30) /* a='b', pgweir_deadline='150ms' */;") }), 'comment behind, among other tags', least => 150);
expired(timed(sub { $c->send(PgWire::extended("/*pgweir_deadline='150ms'*/ select pg_sleep(30)")); $c->until_ready }), 'extended protocol', least => 150);
$c->send(PgWire::parse('d', "/*pgweir_deadline='150ms'*/ select pg_sleep(30)"), PgWire::sync());
$c->until_ready;
expired(timed(sub { $c->send(PgWire::bind_message('', 'd'), PgWire::execute(), PgWire::sync()); $c->until_ready }), 'comment in a statement prepared before', least => 150);
is($c->value('select 1'), 1, 'the session lives');
is($c->ask("/* pgweir_deadline='20s' */ select 5")->{rows}[0][0], 5, 'a deadline that is kept changes nothing');

subtest 'where a deadline comes from' => sub {
	my $s = $w->wire(params => {'pgweir.deadline' => '150ms'});

	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'startup parameter', least => 150);
	$s = $w->wire(params => {options => '-c pgweir.deadline=150ms'});
	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'options', least => 150);
	insist($s, "set pgweir.deadline = '250ms'");
	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'SET', least => 250, detail => qr/^Deadline 250 ms/);
	insist($s, 'begin', "set local pgweir.deadline = '120ms'");
	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'SET LOCAL', least => 120, status => 'E', detail => qr/^Deadline 120 ms/);
	insist($s, 'rollback');
	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'SET LOCAL ends with its transaction', least => 250, detail => qr/^Deadline 250 ms/);
	insist($s, "set pgweir.deadline = '0'");
	is($s->ask('select pg_sleep(0.4)')->{error}, undef, '0 is none');
	is($other->ask('show pgweir.deadline')->{rows}[0][0], '', 'another client does not inherit it');
	$pg->sql("create role impatient login; alter role impatient set pgweir.deadline = '150ms'");
	$w->add_user('impatient') if $w->can('add_user');
};
subtest 'settings of database and user, and the cap' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'transaction', query_deadline => '150ms', max_query_deadline => '300ms', admission => 0},
		databases => {'*' => '', other => 'dbname=postgres query_deadline=0 max_query_deadline=100s'});
	my $s = $v->wire;

	expired(timed(sub { $s->ask('select pg_sleep(30)') }), 'query_deadline', least => 150);
	expired(timed(sub { $s->ask("/* pgweir_deadline='20s' */ select pg_sleep(30)") }), 'max_query_deadline caps the client', least => 300, detail => qr/^Deadline 300 ms/);
	$s = $v->wire(database => 'other');
	is($s->ask('select pg_sleep(0.5)')->{error}, undef, 'a database may have another');
};
subtest 'a bad value is told once and ignored' => sub {
	my $s = $w->wire;

	$a = $s->ask("/* pgweir_deadline='soon' */ select 1");
	is($a->{rows}[0][0], 1, 'the statement runs');
	like($a->{notices}[0]{M}, qr/pgweir_deadline/, 'with a NOTICE');
	is(scalar @{$s->ask("/* pgweir_deadline='soon' */ select 1")->{notices}}, 0, 'which is not repeated');
	$a = $w->wire(may_fail => 1, params => {'pgweir.deadline' => 'soon'});
	is($a->{failed}{C}, '22023', 'as a startup parameter it is refused');
};
subtest 'waiting for a server counts' => sub {
	my @busy = map { $w->wire } 1 .. 2;

	my $keep_busy = sub { $_->send(PgWire::query('select pg_sleep(4000)')) for @_; return eventually { $pg->sql("select count(*) from pg_stat_activity where query like 'select pg_sleep(4000)%' and state = 'active'") == 2 } 'busy servers'; };

	$keep_busy->(@busy);
	expired(timed(sub { $c->ask("/* pgweir_deadline='150ms' */ select 1") }), 'queued', least => 150, detail => qr/^Deadline 150 ms: waited (?:1[5-9]|[2-9]\d|\d\d\d)\d ms for a server connection, ran 0 ms/);
	# it must get its server before its deadline: with a longer one if that has not come about
	for my $ms (1000, 4000, 16000, 64000)
	{
		$c->send(PgWire::query("/* pgweir_deadline='${ms}ms' */ select pg_sleep(300)"));
		eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'it waits' unless $c->{buffer} ne '' || IO::Select->new($c->{socket})->can_read(0.02);
		$busy[0]->cancel;
		$busy[0]->until_ready;
		$a = timed(sub { $c->until_ready });
		last if ($a->{error}{D} // '') !~ /ran 0 ms/;
		$keep_busy->($busy[0]);
	}
	expired($a, 'wait and run together', detail => qr/^Deadline \d+ ms: waited [1-9]\d+ ms for a server connection, ran [1-9]\d* ms/);
	my ($of, $waited, $ran) = $a->{error}{D} =~ /(\d+)/g;
	cmp_ok($waited + $ran + 1, '>=', $of, '... which together are no less');
	$c->send(PgWire::parse('', "/* pgweir_deadline='60s' */ select 1"), PgWire::bind_message('', ''), PgWire::execute(), PgWire::sync(), PgWire::query('select 12'));
	is($c->until_ready->{error}, undef, 'a free server answers');
	is($c->until_ready->{rows}[0][0], 12, 'and the next group of the pipeline too');
	$busy[1]->cancel;
	$busy[1]->until_ready;
};
subtest 'with admission it is refused before it is too late' => sub {
	my $v = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 1});
	my ($busy, $s) = map { $v->wire } 1 .. 2;

	$s->ask('select 1') for 1 .. 20;
	$busy->send(PgWire::query('select pg_sleep(2000)'));
	eventually { $v->pool('postgres', 'postgres')->{sv_active} == 1 } 'a busy server';
	$a = timed(sub { $s->ask("/* pgweir_deadline='300ms' */ select 1") });
	like($a->{error}{C}, qr/^(53300|57014)$/, 'refused, or expired') or diag explain $a;
	like($a->{error}{D}, qr/^Deadline 300 ms: waited \d+ ms/, 'with what it waited');
	is($a->{status}, 'I', 'and the session lives');
	$busy->cancel;
	$busy->until_ready;
	is($s->ask("/* pgweir_deadline='60s' */ select 1")->{rows}[0][0], 1, 'and is served again');
};
subtest 'inside a transaction' => sub {
	$c->ask('begin');
	expired(timed(sub { $c->ask("/* pgweir_deadline='150ms' */ select pg_sleep(30)") }), 'in a transaction', least => 150, status => 'E');
	is($c->ask('select 1')->{error}{C}, '25P02', 'it has failed, as after any error');
	is($c->ask('rollback')->{status}, 'I', 'and ends as any');
	$c->ask('begin');
	$c->ask('savepoint s');
	expired(timed(sub { $c->ask("/* pgweir_deadline='150ms' */ select pg_sleep(30)") }), 'after a savepoint', least => 150, status => 'E');
	is($c->ask('rollback to s')->{status}, 'T', 'can be rolled back to it');
	$c->ask('commit');
};
subtest 'each group of a pipeline has its own' => sub {
	my $t = Time::HiRes::time();

	$c->send(PgWire::query("/* pgweir_deadline='200ms' */ select pg_sleep(30)"), PgWire::query("/* pgweir_deadline='20s' */ select 21"),
		PgWire::extended("/* pgweir_deadline='900ms' */ select pg_sleep(30)"), PgWire::query('select 22'));
	expired(timed(sub { $c->until_ready }), 'the first');
	is($c->until_ready->{rows}[0][0], 21, 'the second is not hit by the cancel of the first');
	expired(timed(sub { $c->until_ready }), 'the third');
	is($c->until_ready->{rows}[0][0], 22, 'the fourth is not hit either');
	cmp_ok((Time::HiRes::time() - $t) * 1000, '>=', 900, 'their clocks ran');
};
subtest 'a server that does not answer the cancel' => sub {
	# with one server it is known which will get the statement
	my $v = sidecar($pg, settings => {default_pool_size => 1, deadline_grace => '700ms', server_login_retry => 1, admission => 0});
	my $c = $v->wire;
	my $ask = sub {
		my ($sql) = @_;
		my $pid = $c->value('select pg_backend_pid()');

		kill 'STOP', $pid;
		my $a = timed(sub { $c->ask($sql) });
		kill 'CONT', $pid;
		kill 'TERM', $pid; # it would begin the statement, which nobody waits for, only now
		return $a;
	};

	expired($ask->("/* pgweir_deadline='300ms' */ select pg_sleep(77)"), 'after the grace', least => 1000);
	is($c->value('select 3'), 3, 'the session goes on with another server');
	$c->ask('begin');
	expired($ask->("/* pgweir_deadline='300ms' */ select pg_sleep(77)"), 'in a transaction', status => 'E', least => 1000);
	is($c->ask('select 1')->{error}{C}, '25P02', 'which has failed');
	$c->send(PgWire::extended('select 1'));
	is($c->until_ready->{error}{C}, '25P02', '... in the extended protocol too');
	$c->send(PgWire::extended('rollback'));
	$a = $c->until_ready;
	is("@{$a->{tags}} $a->{status}", 'ROLLBACK I', 'the sidecar answers its ROLLBACK');
	is($c->value('select 4'), 4, 'and the session goes on');
};
subtest 'COPY FROM STDIN' => sub {
	$c->ask('create table copied(a int)');
	my $type;
	# (it must have begun by then)
	for my $ms (200, 1000, 5000, 25000)
	{
		$c->send(PgWire::query("/* pgweir_deadline='${ms}ms' */ copy copied from stdin"));
		last if ($type = $c->next_message->{type}) eq 'G';
		$c->until_ready;
	}
	is($type, 'G', 'begins');
	expired(timed(sub { $c->until_ready }), 'while the client has nothing to say');
	$c->send(PgWire::copy_data("1\n"), PgWire::copy_done());
	is($c->value('select count(*) from copied'), 0, 'what still comes of the copy is dropped');
	$a = timed(sub { $c->ask("/* pgweir_deadline='300ms' */ copy (select repeat('x', 1000), pg_sleep(0.01) from generate_series(1, 10000)) to stdout") });
	expired($a, 'COPY TO STDOUT while it streams');
};
subtest 'while results stream' => sub {
	for my $ms (300, 1500, 7500, 37500)
	{
		$a = timed(sub { $c->ask("/* pgweir_deadline='${ms}ms' */ select repeat('x', 1000), pg_sleep(0.01) from generate_series(1, 10000)") });
		last if @{$a->{rows}} > 3;
	}
	expired($a, 'streaming');
	cmp_ok(scalar @{$a->{rows}}, '>', 3, 'what had been sent stays valid');
	is(length $a->{rows}[-1][0], 1000, '... to the last row');
};
subtest 'afterwards no statement of ours is left running' => sub {
	eventually { $pg->sql("select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid() and backend_type = 'client backend'") == 0 } 'idle servers';
	pass('all servers are idle');
};
done_testing;
