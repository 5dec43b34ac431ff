# transaction_deadline: a transaction that takes too long is rolled back, and the session goes on.
use PgweirTest;

my $pg = server;
$pg->sql('create table kept(a int)');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 1, admission => 0, transaction_deadline => '400ms', deadline_grace => '60s'}, users => {patient => 'transaction_deadline=0'}, auth => {postgres => '', patient => ''});
my $c = $w->wire;
my $a;

sub idle { return eventually { $pg->sql("select count(*) from pg_stat_activity where state like 'idle in%'") == 0 } 'no transaction idles'; }
sub over { return eventually { $pg->sql("select count(*) from pg_stat_activity where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'") == 0 } 'no transaction is open'; }
# A transaction with these statements in it, all within its time: again until that is so.
sub within { my ($c, @sql) = @_; return eventually { (grep { $c->ask($_)->{error} } 'begin', @sql) ? ($c->ask('rollback'), 0)[1] : 1 } "in time: begin @sql"; }
# A statement of its own in time: its value.
sub value { my ($c, $sql) = @_; my $a; eventually { $a = $c->ask($sql); !$a->{error} } "in time: $sql"; return $a->{rows}[0][0]; }
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
	for (1 .. 20)
	{
		within($c, 'insert into kept values (1)');
		$a = $c->ask('select pg_sleep(30)');
		last if $a->{error}{M} ne 'transaction was rolled back due to transaction deadline'; # before it was asked
		$c->ask('rollback');
	}
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

		within($s, 'insert into kept values (2)');
		idle();
		if ($mode eq 'transaction')
		{
			my $served = eventually { eval { $w->sql('select 7', user => 'postgres') } } 'another client';
			is($served, 7, 'its server connection serves others');
		}
		told($s->ask('select 1'), 'the next statement', 'E');
		is($s->ask('select 1')->{error}{C}, '25P02', 'the one behind it finds a failed transaction');
		is("@{$s->ask('rollback')->{tags}}", 'ROLLBACK', 'ROLLBACK is answered');
		is(value($s, 'select 3'), 3, 'the session goes on');

		within($s, 'insert into kept values (3)');
		idle();
		$a = $s->ask('rollback');
		is(($a->{error}{C} // 'none') . " $a->{status}", 'none I', 'ROLLBACK as the next is just that');

		within($s, 'insert into kept values (4)');
		idle();
		told($s->ask('commit'), 'COMMIT as the next', 'I');
		is(value($s, 'select 5'), 5, 'the session goes on');

		within($s);
		idle();
		$s->send(PgWire::extended('select 1'));
		told($s->until_ready, 'the extended protocol', 'E');
		$s->send(PgWire::extended('rollback'));
		is($s->until_ready->{status}, 'I', 'and its ROLLBACK');
		within($s);
		idle();
		$s->send(PgWire::extended('commit'));
		told($s->until_ready, 'COMMIT in the extended protocol', 'I');
		is(value($s, 'select 6'), 6, 'the session goes on');

		eventually { $s->ask('begin')->{error} || $s->ask('select 1/0')->{error}{C} ne '22012' ? ($s->ask('rollback'), 0)[1] : 1 } 'one that fails in time';
		idle();
		eventually { $pg->sql("select count(*) from pg_stat_activity where state like 'idle in transaction%'") == 0 } 'a failed one is ended too';
		is($s->ask('select 1')->{error}{C}, '25P02', 'who knows that it failed hears nothing new');
		is($s->ask('rollback')->{status}, 'I', 'and ends it');
		is(value($s, 'select 8'), 8, 'the session goes on');
		undef $s;
	};
}
subtest 'prepared ROLLBACK and COMMIT' => sub {
	$w->set(pool_mode => 'transaction')->reload;
	my $s = $w->wire;

	for (['r', 'rollback'], ['c', 'commit'], ['q', 'select 1']) { my ($name, $sql) = @$_; eventually { $s->send(PgWire::parse($name, $sql), PgWire::sync()); !$s->until_ready->{error} } 'it to be prepared in time'; }
	within($s);
	idle();
	$s->send(PgWire::bind_message('', 'q'), PgWire::execute(), PgWire::sync());
	told($s->until_ready, 'another prepared statement', 'E');
	$s->send(PgWire::bind_message('', 'r'), PgWire::execute(), PgWire::sync());
	is($s->until_ready->{status}, 'I', 'ROLLBACK ends the transaction');
	within($s);
	idle();
	$s->send(PgWire::bind_message('', 'c'), PgWire::execute(), PgWire::sync());
	told($s->until_ready, 'COMMIT', 'I');
	is(value($s, 'select 9'), 9, 'the session goes on');
};
for my $mode (qw(transaction session))
{
	subtest "in a group whose Sync has not come, $mode mode" => sub {
		$w->set(pool_mode => $mode)->reload;
		my $s = $w->wire;
		my @insert = (PgWire::parse('', 'insert into kept values (5)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		my @select = (PgWire::parse('', 'select 1'), PgWire::bind_message('', ''), PgWire::execute());
		my $rest = sub { $s->send(PgWire::sync()); return $s->until_ready; };
		# Until such a message comes; false when it is an error that comes.
		my $until = sub { my ($type) = @_; while (my $m = $s->next_message) { return $m->{payload} if $m->{type} eq $type; return '' if $m->{type} eq 'E'; } die 'the connection ended'; };
		# (in time)
		my $insert = sub { my ($begin) = @_; return eventually { within($s) if $begin; $s->send(@insert); $until->('C') or ($rest->(), $s->ask('rollback'), '')[2] } 'the insert'; };

		$insert->();
		over();
		$a = $rest->();
		told($a, 'its own transaction, at Sync', 'I');
		is(value($s, 'select 1'), 1, 'the session goes on');
		$insert->();
		over();
		$s->send(@select, PgWire::sync());
		told($s->until_ready, '... at the next statement', 'I');
		is(value($s, 'select 2'), 2, 'the session goes on');

		$insert->('begin');
		over();
		told($rest->(), 'in a transaction block', 'E');
		is($s->ask('rollback')->{status}, 'I', 'which ends');
		is(value($s, 'select 3'), 3, 'the session goes on');

		$s->send(PgWire::parse('', 'select pg_sleep(30)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		$a = PgWire::error_fields($until->('E'));
		is("$a->{C} $a->{M}", '57014 canceling statement due to transaction deadline', 'a statement that runs is cancelled');
		over();
		is($rest->()->{status}, 'I', '... and its Sync answered');
		is(value($s, 'select 4'), 4, 'the session goes on');
		within($s);
		$s->send(PgWire::parse('', 'select pg_sleep(30)'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::flush_message());
		$until->('E');
		over();
		is($rest->()->{status}, 'E', 'the same in a transaction block');
		is($s->ask('rollback')->{status}, 'I', 'which ends');
		is(value($s, 'select 5'), 5, 'the session goes on');
		for (1 .. 20)
		{
			$s->send(@insert, PgWire::parse('', 'selec'), PgWire::flush_message());
			my $error = PgWire::error_fields($until->('E'));
			over();
			$a = $rest->();
			last if $error->{C} eq '42601'; # in time
		}
		is("$a->{status} $a->{types}", 'I Z', 'who knows that it failed hears nothing new');
		is(value($s, 'select 6'), 6, 'the session goes on');
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
