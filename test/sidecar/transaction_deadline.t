# transaction_deadline: a transaction that takes too long is rolled back, and the session goes on.
use PgweirTest;

my $pg = server;
$pg->sql('create table kept(a int)');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 1, admission => 0, transaction_deadline => '400ms'}, users => {patient => 'transaction_deadline=0'}, auth => {postgres => '', patient => ''});
my $c = $w->wire;
my $a;

sub idle { return eventually { $pg->sql("select count(*) from pg_stat_activity where state like 'idle in%'") == 0 } 'no transaction idles', 10; }
sub over { return eventually { $pg->sql("select count(*) from pg_stat_activity where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'") == 0 } 'no transaction is open', 10; }
sub told
{
	my ($a, $what, $status) = @_;

	is($a->{error}{C} // 'no error', '57014', "$what: 57014");
	is($a->{error}{M}, 'transaction was rolled back due to transaction deadline', "$what: says why");
	is($a->{error}{S}, 'ERROR', "$what: as an ERROR");
	like($a->{error}{D}, qr/^Transaction deadline 400 ms: the transaction began [4-9]\d\d ms ago\.$|began \d{4,} ms ago/, "$what: and since when");
	is($a->{status}, $status, "$what: transaction status");
	return;
}

subtest 'while a statement runs' => sub {
	my $t = Time::HiRes::time();

	$a = $c->ask('select pg_sleep(30)');
	is($a->{error}{C}, '57014', 'one that is its own transaction');
	is($a->{error}{M}, 'canceling statement due to transaction deadline', 'the message names the deadline');
	is($a->{status}, 'I', 'is over');
	$c->ask('begin');
	$c->ask('insert into kept values (1)');
	$a = $c->ask('select pg_sleep(30)');
	is($a->{error}{M}, 'canceling statement due to transaction deadline', 'one inside a transaction');
	is($a->{status}, 'E', 'which has failed');
	is($c->ask('select 1')->{error}{C}, '25P02', 'as after any error');
	is($c->ask('rollback')->{status}, 'I', 'and ends');
	cmp_ok(Time::HiRes::time() - $t, '<', 20, 'long before the statements would have');
	$a = $c->ask("/* pgweir_deadline='100ms' */ select pg_sleep(30)");
	is($a->{error}{M}, 'canceling statement due to query deadline', 'the tighter one counts');
};
for my $mode (qw(transaction session))
{
	subtest "idle in a transaction, $mode mode" => sub {
		$w->set(pool_mode => $mode)->reload if $mode ne 'transaction';
		my $s = $w->wire;

		$s->ask('begin');
		$s->ask('insert into kept values (2)');
		idle();
		if ($mode eq 'transaction')
		{
			is($w->sql('select 7', user => 'postgres'), 7, 'its server connection serves others');
		}
		told($s->ask('select 1'), 'the next statement', 'E');
		is($s->ask('select 1')->{error}{C}, '25P02', 'the one behind it finds a failed transaction');
		is("@{$s->ask('rollback')->{tags}}", 'ROLLBACK', 'ROLLBACK is answered');
		is($s->value('select 3'), 3, 'the session goes on');

		$s->ask('begin');
		$s->ask('insert into kept values (3)');
		idle();
		$a = $s->ask('rollback');
		is(($a->{error}{C} // 'none') . " $a->{status}", 'none I', 'ROLLBACK as the next is just that');

		$s->ask('begin');
		$s->ask('insert into kept values (4)');
		idle();
		told($s->ask('commit'), 'COMMIT as the next', 'I');
		is($s->value('select 5'), 5, 'the session goes on');

		$s->ask('begin');
		idle();
		$s->send(PgWire::extended('select 1'));
		told($s->until_ready, 'the extended protocol', 'E');
		$s->send(PgWire::extended('rollback'));
		is($s->until_ready->{status}, 'I', 'and its ROLLBACK');
		$s->ask('begin');
		idle();
		$s->send(PgWire::extended('commit'));
		told($s->until_ready, 'COMMIT in the extended protocol', 'I');
		is($s->value('select 6'), 6, 'the session goes on');

		$s->ask('begin');
		$s->ask('select 1/0');
		idle();
		eventually { $pg->sql("select count(*) from pg_stat_activity where state like 'idle in transaction%'") == 0 } 'a failed one is ended too';
		is($s->ask('select 1')->{error}{C}, '25P02', 'who knows that it failed hears nothing new');
		is($s->ask('rollback')->{status}, 'I', 'and ends it');
		is($s->value('select 8'), 8, 'the session goes on');
		undef $s;
	};
}
subtest 'prepared ROLLBACK and COMMIT' => sub {
	$w->set(pool_mode => 'transaction')->reload;
	my $s = $w->wire;

	$s->send(PgWire::parse('r', 'rollback'), PgWire::parse('c', 'commit'), PgWire::parse('q', 'select 1'), PgWire::sync());
	$s->until_ready;
	$s->ask('begin');
	idle();
	$s->send(PgWire::bind_message('', 'q'), PgWire::execute(), PgWire::sync());
	told($s->until_ready, 'another prepared statement', 'E');
	$s->send(PgWire::bind_message('', 'r'), PgWire::execute(), PgWire::sync());
	is($s->until_ready->{status}, 'I', 'ROLLBACK ends the transaction');
	$s->ask('begin');
	idle();
	$s->send(PgWire::bind_message('', 'c'), PgWire::execute(), PgWire::sync());
	told($s->until_ready, 'COMMIT', 'I');
	is($s->value('select 9'), 9, 'the session goes on');
};
for my $mode (qw(transaction session))
{
	subtest "in a group whose Sync has not come, $mode mode" => sub {
		$w->set(pool_mode => $mode)->reload;
		my $s = $w->wire;
		my @insert = (PgWire::parse('', 'insert into kept values (5)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		my @select = (PgWire::parse('', 'select 1'), PgWire::bind_message('', ''), PgWire::execute());
		my $rest = sub { $s->send(PgWire::sync()); return $s->until_ready; };
		my $until = sub { my ($type) = @_; while (my $m = $s->next_message) { return $m->{payload} if $m->{type} eq $type; } die 'the connection ended'; };
		my $insert = sub { $s->send(@insert); return $until->('C'); };

		$insert->();
		over();
		$a = $rest->();
		told($a, 'its own transaction, at Sync', 'I');
		is($s->value('select 1'), 1, 'the session goes on');
		$insert->();
		over();
		$s->send(@select, PgWire::sync());
		told($s->until_ready, '... at the next statement', 'I');
		is($s->value('select 2'), 2, 'the session goes on');

		$s->ask('begin');
		$insert->();
		over();
		told($rest->(), 'in a transaction block', 'E');
		is($s->ask('rollback')->{status}, 'I', 'which ends');
		is($s->value('select 3'), 3, 'the session goes on');

		$s->send(PgWire::parse('', 'select pg_sleep(30)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		$a = PgWire::error_fields($until->('E'));
		is("$a->{C} $a->{M}", '57014 canceling statement due to transaction deadline', 'a statement that runs is cancelled');
		over();
		is($rest->()->{status}, 'I', '... and its Sync answered');
		is($s->value('select 4'), 4, 'the session goes on');
		$s->ask('begin');
		$s->send(PgWire::parse('', 'select pg_sleep(30)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		$until->('E');
		over();
		is($rest->()->{status}, 'E', 'the same in a transaction block');
		is($s->ask('rollback')->{status}, 'I', 'which ends');
		is($s->value('select 5'), 5, 'the session goes on');
		$s->send(@insert, PgWire::parse('', 'selec'), PgWire::flush_message());
		$until->('E');
		over();
		$a = $rest->();
		is("$a->{status} $a->{types}", 'I Z', 'who knows that it failed hears nothing new');
		is($s->value('select 6'), 6, 'the session goes on');
	};
}
subtest 'who has none' => sub {
	my $v = sidecar($pg, settings => {admission => 0, transaction_deadline => '200ms'}, databases => {'*' => '', calm => 'dbname=postgres transaction_deadline=0'}, auth => {postgres => ''});
	my $s = $v->wire(database => 'calm');

	$s->ask('begin');
	Time::HiRes::sleep(0.5);
	is($s->ask('select 1')->{error}, undef, 'a database may be exempt');
	is("@{$s->ask('commit')->{tags}}", 'COMMIT', 'and commits');
};
is($pg->sql('select count(*) from kept'), 0, 'nothing of it was committed');
done_testing;
