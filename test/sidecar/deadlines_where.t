# Deadlines in the less usual moments and modes: before the server is there, while the client does not read, in several statements at once.
use PgweirTest;

my $pg = server;
$pg->sql('create extension pgweir');
$pg->sql(q{create function hurry(text) returns void language sql as $$ select set_config('pgweir.deadline', $1, false) $$});
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2, deadline_grace => '60s', admission => 0, server_lifetime => 3600});
my $c = $w->wire;
my $a;

sub expired
{
	my ($a, $what, $detail, $status) = @_;

	is($a->{error}{C} // 'no error', '57014', "$what: 57014");
	is($a->{error}{S}, 'ERROR', "$what: an ERROR");
	like($a->{error}{D}, $detail, "$what: wait and run");
	is($a->{status}, $status // 'I', "$what: transaction status");
	return;
}
# Statements that have a deadline and shall keep it: again until that is so.
sub insist { my ($c, $sql) = @_; my $a; eventually { $a = $c->ask($sql); !$a->{error} } "in time: $sql"; return $a->{rows}[0] && $a->{rows}[0][0]; }
sub active { return $pg->sql("select count(*) from pg_stat_activity where backend_type = 'client backend' and state = 'active' and pid <> pg_backend_pid()"); }

subtest 'while the server connection is still logging in' => sub {
	my $busy = $w->wire;
	my $late = $w->wire;

	$busy->send(PgWire::query('select pg_sleep(2000)'));
	eventually { active() == 1 } 'a busy server';
	$w->console('reconnect');	# closes the idle one
	kill 'STOP', $pg->pid;
	$late->send(PgWire::query("/* pgweir_deadline='300ms' */ select 1"));
	$a = $late->until_ready;
	kill 'CONT', $pg->pid;
	expired($a, 'logging in', qr/^Deadline 300 ms: waited (?:[3-9]\d\d|\d{4,}) ms for a server connection, ran 0 ms\.$/);
	is($late->value('select 2'), 2, 'the session is served when the server is there');
	$busy->cancel;
	$busy->until_ready;
};
subtest 'while the client does not read' => sub {
	my $s = $w->wire;

	# (some of it must have come by then)
	for my $ms (500, 2000, 8000, 32000)
	{
		$s->send(PgWire::query("/* pgweir_deadline='${ms}ms' */ select repeat('x', 1000) from generate_series(1, 400000)"));
		# it has run, and runs no more: what the server did last
		eventually { $pg->sql("select count(*) from pg_stat_activity where query like '%''${ms}ms''%400000)' and state = 'idle'") == 1 } 'it is cancelled although nobody reads';
		$a = $s->until_ready;
		last if @{$a->{rows}} > 10;
	}
	expired($a, 'not reading', qr/^Deadline \d+ ms/);
	cmp_ok(scalar @{$a->{rows}}, '>', 10, 'what had been sent is there');
	is((grep { length $_->[0] != 1000 } @{$a->{rows}}), 0, '... whole');
	is($s->value('select 3'), 3, 'the session goes on');
};
subtest 'several statements in one query' => sub {
	$c->ask('create table several(a int)');
	$a = $c->ask("/* pgweir_deadline='300ms' */ insert into several values (1); select pg_sleep(30); insert into several values (2)");
	expired($a, 'the second of three', qr/^Deadline 300 ms/);
	is($c->value('select count(*) from several'), 0, 'they are one transaction, which failed as a whole');
	$a = $c->ask("insert into several values (3); select pg_sleep(30) /* pgweir_deadline='300ms' */");
	expired($a, 'a comment behind the last', qr/^Deadline 300 ms/);
};
subtest 'what a statement sets' => sub {
	my $s = $w->wire;

	is($s->ask("select hurry('300ms')")->{error}, undef, 'a function sets it');
	expired($s->ask('select pg_sleep(30)'), 'set by a function', qr/^Deadline 300 ms/);
	insist($s, "set pgweir.deadline = '100s'; select 1");
	is($s->ask('select pg_sleep(0.5)')->{error}, undef, 'SET in front of another statement counts from the next on');
	$s->ask("reset pgweir.deadline");
	is($s->ask('select pg_sleep(0.5)')->{error}, undef, 'RESET takes it away');
	expired($s->ask("do \$\$ begin perform pg_sleep(30); end \$\$ /* pgweir_deadline='300ms' */"), 'in a DO block', qr/^Deadline 300 ms/);
};
subtest 'cursors and LISTEN' => sub {
	$c->ask('begin');
	$c->ask("declare c cursor for select pg_sleep(case when i > 3 then 30 else 0 end), i from generate_series(1, 10) i");
	is(scalar @{$c->ask("/* pgweir_deadline='60s' */ fetch 3 from c")->{rows}}, 3, 'a FETCH that is quick');
	expired($c->ask("/* pgweir_deadline='300ms' */ fetch 3 from c"), 'a FETCH that is not', qr/^Deadline 300 ms/, 'E');
	$c->ask('rollback');
	insist($c, "/* pgweir_deadline='300ms' */ listen here");
	pass('LISTEN is a statement like any');
	Time::HiRes::sleep(0.4);
	is($c->value('select 4'), 4, '... whose deadline is over when it has answered');
};
for my $mode (qw(session statement))
{
	subtest "$mode mode" => sub {
		my $v = sidecar($pg, settings => {pool_mode => $mode, default_pool_size => 1, admission => 0, query_deadline => '300ms', deadline_grace => '60s'});
		my ($one, $two) = map { $v->wire } 1 .. 2;

		insist($one, 'select 4'); # has the server opened
		expired($one->ask('select pg_sleep(30)'), 'running', qr/^Deadline 300 ms: waited \d+ ms for a server connection, ran [1-9]\d+ ms/);
		is(insist($one, 'select 5'), 5, 'the session goes on');
		$one->send(PgWire::query("/* pgweir_deadline='300ms' */ select pg_sleep(0.2)")) if $mode eq 'statement';
		if ($mode eq 'session')
		{
			expired($two->ask('select 6'), 'while another session has the server', qr/waited (?:[3-9]\d\d|\d{4,}) ms for a server connection, ran 0 ms/);
			undef $one;
		}
		is(insist($two, 'select 7'), 7, 'then it is its turn');
	};
}
eventually { active() == 0 } 'idle servers';
pass('nothing is left running');
done_testing;
