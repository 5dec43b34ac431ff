# Named statements where several groups are under way at once: what one group does to a name, or fails to do, holds for the next ones.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 1});
my $c = $w->wire;

sub p { return PgWire::parse(@_); }
sub b { my ($name, @values) = @_; return PgWire::bind_message('', $name, @values) . PgWire::describe('P', '') . PgWire::execute(); }
sub close_it { return PgWire::close_message('S', $_[0]); }
my $s = PgWire::sync();
# Groups sent in one write: for each the types of its answers, its value or SQLSTATE.
sub told { my ($a) = @_; return join ' ', $a->{types}, $a->{error} ? $a->{error}{C} : map { $_->[0] } @{$a->{rows}}; }
sub groups { my ($c, @groups) = @_; $c->send(map { $_ . $s } @groups); return join ', ', map { told($c->until_ready) } @groups; }
sub groups_are { my ($sent, $expected, $name) = @_; return is(groups($c, @$sent), $expected, $name); }

groups_are([p('known', 'select 1'), p('other', 'select 2')], '1Z, 1Z', 'two statements');
subtest 'answers of our own come in their place' => sub {
	groups_are([b('known'), p('k1', 'select 1') . b('k1')], '2TDCZ 1, 12TDCZ 1', 'a text that the server has, prepared behind another group');
	groups_are([b('known'), p('k2', 'select 1'), p('k3', 'select 1') . p('k4', 'select 2'), b('k4')], '2TDCZ 1, 1Z, 11Z, 2TDCZ 2', 'groups that are nothing but such');
	groups_are([b('known'), close_it('k1'), close_it('k2') . close_it('k3'), b('k4')], '2TDCZ 1, 3Z, 33Z, 2TDCZ 2', 'and names given up');
};
subtest 'a group that fails does nothing to names' => sub {
	groups_are([b('nobody') . close_it('known'), b('known')], 'EZ 26000, 2TDCZ 1', 'a name that would have been given up stays');
	groups_are([b('nobody') . close_it('known'), p('known', 'select 3'), b('known')], 'EZ 26000, EZ 42P05, 2TDCZ 1', '... and stays taken');
	groups_are([b('nobody') . close_it('known') . p('known', 'select 3') . close_it('known'), b('known')], 'EZ 26000, 2TDCZ 1', 'given up, taken and given up: nothing of it');
	groups_are([close_it('known') . p('known', 'select 3') . b('nobody'), b('known')], '31EZ 26000, 2TDCZ 3', 'what came before the error has happened');
	groups_are([close_it('known') . p('known', 'select 1'), b('known')], '31Z, 2TDCZ 1', 'a name for something else');
	groups_are([b('nobody') . p('new', 'select 4'), p('newer', 'select 4') . b('newer')], 'EZ 26000, 12TDCZ 4', 'a text that was not prepared after all, under another name');
	groups_are([b('nobody') . p('new', 'select 1'), b('new'), b('known')], 'EZ 26000, EZ 26000, 2TDCZ 1', 'a second name of a text goes alone');
	groups_are([p('twin', 'select 1') . close_it('twin') . b('nobody') . close_it('known'), p('twin', 'select 5') . b('twin'), b('known')], '13EZ 26000, 12TDCZ 5, 2TDCZ 1', 'both together');
	groups_are([close_it('twin'), b('twin')], '3Z, EZ 26000', 'given up in the group before');
};
subtest 'all names are given up at once' => sub {
	for my $command ('deallocate all', 'discard all')
	{
		groups_are([p('a', 'select 6') . p('b', 'select 7')], '11Z', 'two names');
		my $all = p('', $command) . PgWire::bind_message('', '') . PgWire::execute();
		groups_are([$all, p('a', 'select 8'), b('a') . p('c', 'select 6'), b('b')], '12CZ, 1Z, 2TDC1Z 8, EZ 26000', "$command, and what comes behind it");
		groups_are([b('c'), b('a')], '2TDCZ 6, 2TDCZ 8', '... stays');
		$c->send(PgWire::query($command), p('a', 'select 9'), $s, b('a'), $s);
		is(join(', ', map { told($c->until_ready) } 1 .. 3), 'CZ, 1Z, 2TDCZ 9', '... as a simple query');
		$c->send(close_it('a'), $s);
		$c->until_ready;
	}
};
subtest 'errors tell the name that the client gave' => sub {
	groups_are([p('Needs two', 'select $1::int + $2::int')], '1Z', 'a statement with parameters');
	$c->send(PgWire::bind_message('', 'Needs two', 1), $s);
	is($c->until_ready->{error}{M}, 'bind message supplies 1 parameters, but prepared statement "Needs two" requires 2', 'too few of them');
	$c->ask(q{do $$ begin execute 'deallocate all'; end $$});
	groups_are([b('Needs two', 1, 2)], '2TDCZ 3', 'the server has lost its statements behind our back: prepared anew, unseen');
	$c->ask(q{do $$ begin execute 'deallocate all'; end $$});
	$c->send(PgWire::bind_message('', 'Needs two', 1, 2), PgWire::execute(), $s);
	is($c->until_ready->{error}{M}, 'prepared statement "Needs two" does not exist', '... a group that is not kept is told of it');
	groups_are([b('Needs two', 1, 2)], '2TDCZ 3', '... once');
	$c->ask(q{do $$ begin execute 'deallocate all'; end $$});
	$c->ask('begin');
	$c->send(PgWire::bind_message('', 'Needs two', 1, 2), PgWire::execute(), $s);
	is($c->until_ready->{error}{M}, 'prepared statement "Needs two" does not exist', '... in a transaction the client is told');
	$c->ask('rollback');
	groups_are([b('Needs two', 1, 2)], '2TDCZ 3', '... once');
	my ($last) = sort { $b <=> $a } map { /(\d+)/ } map { $_->[0] } @{$c->ask('select name from pg_prepared_statements')->{rows}};
	$c->ask("prepare \"PGWEIR_$_\" as select 'stolen'") for $last + 1 .. $last + 3;
	$c->send(p('mine', "select 'mine'"), $s);
	is($c->until_ready->{error}{M} // '', 'prepared statement "mine" already exists', 'somebody uses our names: told with the client\'s');
	$c->send(p('mine', "select 'mine'"), b('mine'), $s);
	is(told($c->until_ready), '12TDCZ mine', '... and got out of the way');
};
subtest 'a table that changes under a pipeline' => sub {
	$c->ask('deallocate all');
	$pg->sql("create table t(a int, b text); insert into t values (1, 'x'), (2, 'y')");
	groups_are([p('t', 'select * from t where a = $1') . p('n', 'select count(*) from t'), b('t', 1), b('n')], '11Z, 2TDCZ 1, 2TDCZ 2', 'prepared');
	$pg->sql('alter table t add c int default 7');
	$c->send(map { b('t', $_) . $s } 1, 2, 1);
	is(join(' ', map { my $a = $c->until_ready; join ',', $a->{types}, @{$a->{rows}[0]} } 1 .. 3), '2TDCZ,1,x,7 2TDCZ,2,y,7 2TDCZ,1,x,7', 'groups that all fail are all run again, unseen');
	groups_are([b('t', 1), b('t', 2)], '2TDCZ 1, 2TDCZ 2', '... and go on');
	$pg->sql('alter table t drop c');
	groups_are([b('t', 1) . b('t', 2), b('t', 2) . b('n')], '2TDC2TDCZ 1 2, 2TDC2TDCZ 2 2', 'groups of several statements, too');
	$pg->sql('alter table t add c int');
	groups_are([b('n'), b('t', 1), b('t', 2)], '2TDCZ 2, 2TDCZ 1, 2TDCZ 2', '... and behind one that is not concerned');
	$pg->sql('alter table t drop c');
	groups_are([b('t', 1), b('n'), b('t', 2)], 'EZ 0A000, 2TDCZ 2, 2TDCZ 2', 'before one that has run by then the client is told');
	groups_are([b('t', 1), b('n'), b('t', 2)], '2TDCZ 1, 2TDCZ 2, 2TDCZ 2', '... once');
	$pg->sql('alter table t add c int');
	groups_are([b('t', 1), PgWire::describe('S', 't'), b('t', 2)], 'EZ 0A000, tTZ, 2TDCZ 2', 'Describe of a statement tells something: what is before it is told, itself and the rest is run again');
	$pg->sql('alter table t drop c');
	groups_are([PgWire::describe('S', 't')], 'tTZ', '... alone');
	$pg->sql('alter table t add c int');
	groups_are([p('t2', 'select * from t where a = $1') . PgWire::describe('S', 't2')], '1tTZ', '... of one that is prepared in the same group');
	$pg->sql('alter table t drop c');
	groups_are([b('t', 1), p('t3', 'select * from t where a = $1') . b('t3', 1)], 'EZ 0A000, 12TDCZ 1', 'before a Parse that we answer ourselves the client is told');
	$pg->sql('alter table t add c int');
	groups_are([b('t', 1), b('t3', 1)], '2TDCZ 1, 2TDCZ 1', '... once');
	$pg->sql('alter table t drop c');
	groups_are([PgWire::describe('S', 't') . PgWire::bind_message('', 't', 1) . PgWire::execute()], 'tEZ 0A000', 'in a group of another kind it tells the parameters before it fails');
	$pg->sql('alter table t add c int');
	groups_are([PgWire::describe('S', 't') . b('t', 1)], 'tT2TDCZ 1', '... once');
	$pg->sql('alter table t drop c');
	$c->send(b('t', 1), $s, b('t', 2), $s, PgWire::query('select 9'));
	is(join(', ', map { told($c->until_ready) } 1 .. 3), 'EZ 0A000, EZ 0A000, TDCZ 9', 'a simple query behind them: told, in order');
	groups_are([b('t', 1), b('t', 2)], '2TDCZ 1, 2TDCZ 2', '... once');
	$pg->sql('alter table t add c int');
	$c->ask('begin');
	groups_are([b('t', 1), b('t', 2)], 'EZ 0A000, EZ 25P02', 'in a transaction the client is told');
	$c->ask('rollback');
	groups_are([b('t', 1), b('t', 2)], '2TDCZ 1, 2TDCZ 2', '... once');
	$pg->sql('alter table t drop c');
	my $many = 3000;
	$c->send(map { b('t', 1 + $_ % 2) . $s } 1 .. $many);
	my @wrong = grep { !($_->[1] eq '2TDCZ ' . (1 + $_->[0] % 2) || $_->[1] eq 'EZ 0A000') } map { [$_, told($c->until_ready)] } 1 .. $many;
	is_deeply(\@wrong, [], 'a pipeline longer than what is kept: right or told, in order');
	groups_are([b('t', 1), b('t', 2)], '2TDCZ 1, 2TDCZ 2', '... once');
	$c->ask(q{do $$ begin execute 'deallocate all'; end $$});
	groups_are([b('t', 1), b('n'), b('t', 2), b('t', 1)], '2TDCZ 1, 2TDCZ 2, 2TDCZ 2, 2TDCZ 1', 'the server has lost several statements');
	$pg->sql('alter table t add c int');
	$c->send(b('t', 1), $s, PgWire::bind_message('', 't', 2), PgWire::describe('P', ''));
	$c->send(PgWire::execute(), $s);
	is(join(', ', map { told($c->until_ready) } 1, 2), '2TDCZ 1, 2TDCZ 2', 'a group that comes in parts');
	$pg->sql('alter table t drop c');
	$c->send(b('t', 1), $s, PgWire::bind_message('', 't', 2), PgWire::execute());
	$c->send($s);
	is(join(', ', map { told($c->until_ready) } 1, 2), 'EZ 0A000, EZ 0A000', '... that does not ask for the columns');
	is($c->value('select 1'), 1, 'the session lives');
};
is($w->complaints, '', 'no complaints of sanitizers');
done_testing;
