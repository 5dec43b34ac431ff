# Named prepared statements in transaction mode: every statement works on whichever server the client is given.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 3, max_prepared_statements => 20});
my $c = $w->wire;
my $a;

sub rows { return join '|', map { join ',', map { $_ // 'NULL' } @$_ } @{$_[0]{rows}}; }
sub run_named { my ($c, $name, @v) = @_; $c->send(PgWire::bind_message('', $name, @v), PgWire::execute(), PgWire::sync()); return $c->until_ready; }

$c->send(PgWire::parse('s', 'select $1::int + 1, pg_backend_pid()'), PgWire::sync());
is($c->until_ready->{types}, '1Z', 'Parse of a named statement');
# Other clients hold servers, so that this one meets each of the three.
my %pids;
my @holders = map { $w->wire } 1 .. 2;
for my $n (0 .. 20)
{
	my @held = @holders[grep { $n >> $_ & 1 } 0, 1];

	$_->ask('begin') for @held;
	$a = run_named($c, 's', $n);
	is($a->{error} ? $a->{error}{M} : $a->{rows}[0][0], $n + 1, "round $n is right") or last;
	$pids{$a->{rows}[0][1]} = 1;
	$_->ask('commit') for @held;
}
cmp_ok(scalar keys %pids, '>=', 2, 'on more than one server');
$c->send(PgWire::describe('S', 's'), PgWire::sync());
is($c->until_ready->{types}, 'tTZ', 'Describe of it');

subtest 'two clients with one name and two texts' => sub {
	my $d = $w->wire;

	$d->send(PgWire::parse('s', "select 'other'"), PgWire::sync());
	$d->until_ready;
	is(rows(run_named($d, 's')), 'other', 'each has its own');
	is(run_named($c, 's', 1)->{rows}[0][0], 2, '... and keeps it');
};
subtest 'DEALLOCATE in SQL of a statement prepared by protocol' => sub {
	my $d = $w->wire;

	$d->send(PgWire::parse('Mixed one', 'select 1'), PgWire::parse('plain', 'select 2'), PgWire::sync());
	$d->until_ready;
	is($d->ask('deallocate Plain;')->{tags}[0], 'DEALLOCATE', 'the name is found as PostgreSQL writes it');
	is(run_named($d, 'plain')->{error}{C}, '26000', '... and forgotten');
	$d->ask('begin');
	$a = $d->ask('DEALLOCATE PREPARE "Mixed one"');
	is("$a->{tags}[0] $a->{status}", 'DEALLOCATE T', 'a quoted one, in a transaction');
	is($d->ask('deallocate nobody')->{error}{C}, '26000', 'an unknown one is the server\'s business');
	$d->ask('rollback');
	is(rows(run_named($c, 's', 1)) =~ /^2,/ ? 1 : 0, 1, 'other clients keep theirs');
};
subtest 'names as PostgreSQL treats them' => sub {
	$a = run_named($c, 'nobody');
	is("$a->{error}{C} $a->{error}{M} $a->{status}", '26000 prepared statement "nobody" does not exist I', 'an unknown name is an ERROR');
	$c->send(PgWire::parse('s', 'select 5'), PgWire::bind_message('', 's'), PgWire::execute(), PgWire::sync());
	$a = $c->until_ready;
	is("$a->{types} $a->{error}{C} $a->{error}{M}", 'EZ 42P05 prepared statement "s" already exists', 'a name in use is an ERROR');
	is(run_named($c, 's', 1)->{rows}[0][0], 2, '... and the old one stays');
	$c->send(PgWire::bind_message('', 'nobody'), PgWire::sync(), PgWire::bind_message('', 's', 4), PgWire::execute(), PgWire::sync());
	is($c->until_ready->{error}{C}, '26000', 'inside a pipeline too');
	is($c->until_ready->{rows}[0][0], 5, '... whose next group is answered');
	$c->send(PgWire::close_message('S', 's'), PgWire::sync());
	is($c->until_ready->{types}, '3Z', 'Close');
	is(run_named($c, 's', 1)->{error}{C}, '26000', '... forgets the name');
	$c->send(PgWire::close_message('S', 'never'), PgWire::sync());
	is($c->until_ready->{types}, '3Z', 'Close of an unknown name is no error');
};
subtest 'a Parse that fails leaves nothing behind' => sub {
	$c->send(PgWire::parse('f', 'selec'), PgWire::bind_message('', 'f'), PgWire::execute(), PgWire::sync());
	is($c->until_ready->{error}{C}, '42601', 'the server refuses it');
	is(run_named($c, 'f')->{error}{C}, '26000', 'the name is free');
	$c->send(PgWire::parse('f', 'select 8'), PgWire::sync());
	is($c->until_ready->{types}, '1Z', '... and can be used');
	is(rows(run_named($c, 'f')), '8', '... for a good one');
	$c->send(PgWire::parse('', 'select 1/0'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::parse('late', 'select 1'), PgWire::sync());
	is($c->until_ready->{error}{C}, '22012', 'an error before a Parse skips it');
	is(run_named($c, 'late')->{error}{C}, '26000', '... as the server did');
};
subtest 'the unnamed statement, made in one group and used in the next' => sub {
	my ($d, $e) = map { $w->wire } 1, 2;
	my @use = (PgWire::bind_message('', '', 4), PgWire::execute(), PgWire::sync());
	my $make = sub { my ($who, $sql) = @_; $who->send(PgWire::parse('', $sql), PgWire::describe('S', ''), PgWire::sync()); return $who->until_ready; };
	my $run = sub { my ($who, @v) = @_; return run_named($who, '', @v); };

	like($make->($d, 'select $1::int + 1')->{types}, qr/^1tTZ$/, 'one client makes its own');
	$make->($e, q{select 'of another', $1::text});
	is(rows($run->($d, 4)), '5', '... and finds it, though another client has made one on the same server');
	is(rows($run->($e, 'x')), 'of another,x', '... which finds its own');
	$e->ask('begin');
	is(rows($run->($d, 6)), '7', 'on another server');
	$e->ask('commit');
	$d->send(PgWire::describe('S', ''), PgWire::sync());
	is($d->until_ready->{types}, 'tTZ', 'Describe of it later');
	is(rows($run->($d, 7)), '8', '... does not end it');
	$d->ask('select 1');
	is($run->($d, 4)->{error}{C}, '26000', 'a simple Query ends it');
	$make->($e, 'select 9');
	is($run->($d)->{error}{C}, '26000', 'nobody gets that of another client');
	$make->($d, 'select $1::int');
	is($make->($d, 'selec')->{error}{C}, '42601', 'one that cannot be parsed');
	is($run->($d, 1)->{error}{C}, '26000', '... leaves none');
	$d->send(PgWire::parse('', 'selec'), PgWire::sync(), PgWire::parse('', 'select $1::int + 20'), PgWire::sync(), @use);
	is($d->until_ready->{error}{C}, '42601', 'in a pipeline, a bad one');
	is($d->until_ready->{types}, '1Z', '... a good one');
	is(rows($d->until_ready), '24', '... and its use');
	$e->ask('begin');
	is(rows($run->($d, 5)), '25', '... and again on another server');
	$e->ask('commit');
	$d->send(PgWire::close_message('S', ''), PgWire::sync());
	is($d->until_ready->{types}, '3Z', 'Close');
	is($run->($d, 1)->{error}{C}, '26000', '... ends it');
	$pg->sql('create table gone(id int)');
	$make->($d, 'select count(*) from gone where id = $1');
	$pg->sql('drop table gone');
	$make->($e, 'select 1');
	is($run->($d, 1)->{error}{C}, '42P01', 'one that cannot be made again is told');
	is($d->value('select 2'), 2, '... and the session goes on');
};
subtest 'more statements than max_prepared_statements' => sub {
	for my $n (1 .. 60)
	{
		$c->send(PgWire::parse("m$n", "select $n"), PgWire::sync());
		$c->until_ready;
	}
	is(join(',', map { rows(run_named($c, "m$_")) } 1 .. 60), join(',', 1 .. 60), 'all of them work');
	my $most = 0;
	for (1 .. 3)
	{
		my $n = $c->value("select count(*) from pg_prepared_statements where name like 'PGWEIR%'");
		$most = $n if $n > $most;
	}
	cmp_ok($most, '<=', 20, 'a server never has more than allowed');
};
subtest 'DISCARD ALL and DEALLOCATE ALL forget them' => sub {
	for my $command ('discard all', 'deallocate all')
	{
		$c->send(PgWire::parse('z', 'select 1'), PgWire::sync());
		$c->until_ready;
		$c->ask($command);
		is(run_named($c, 'z')->{error}{C}, '26000', $command);
		$c->send(PgWire::parse('z', 'select 2'), PgWire::sync());
		is($c->until_ready->{types}, '1Z', '... and the name is free');
		is(rows(run_named($c, 'z')), '2', '... and works again');
	}
};
subtest 'Parse and Flush without Sync is answered' => sub {
	my $d = $w->wire;

	for (1 .. 2)
	{
		$d->send(PgWire::parse("q$_", 'select 99'), PgWire::flush_message());
		is($d->next_message->{type}, '1', $_ == 1 ? 'the first time by the server' : 'the second by the sidecar, which knows the text');
	}
	$d->send(PgWire::bind_message('', 'q2'), PgWire::execute(), PgWire::sync());
	is(rows($d->until_ready), '99', 'and the group goes on');
};
subtest 'inside a failed transaction' => sub {
	my $d = $w->wire;

	$d->send(PgWire::parse('t', 'select 3'), PgWire::sync());
	$d->until_ready;
	$d->ask('begin');
	$d->ask('select 1/0');
	is(run_named($d, 't')->{error}{C}, '25P02', 'a statement is refused');
	is($d->ask('rollback')->{status}, 'I', 'rollback');
	is(rows(run_named($d, 't')), '3', 'and works afterwards');
};
subtest 'session mode leaves names alone' => sub {
	my $s = sidecar($pg, settings => {pool_mode => 'session', default_pool_size => 2});
	my $d = $s->wire;

	$d->send(PgWire::parse('plain', 'select 1'), PgWire::sync());
	$d->until_ready;
	is($d->value('select name from pg_prepared_statements'), 'plain', 'the server knows the client\'s name');
};
done_testing;
