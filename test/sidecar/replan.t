# "cached plan must not change result type": prepared statements survive DDL, on every server.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2, worker_spread => 'even'}); # a client meets the same server again
my ($c, $d) = ($w->wire, $w->wire);
my ($a, $mark);

sub rows { return join '|', map { join ',', map { $_ // 'NULL' } @$_ } @{$_[0]{rows}}; }
sub prepare { my ($c, $name, $sql) = @_; $c->send(PgWire::parse($name, $sql), PgWire::describe('S', $name), PgWire::sync()); return $c->until_ready; }
sub run_it { my ($c, $name, $describe, @v) = @_; $c->send(PgWire::bind_message('', $name, @v), ($describe ? PgWire::describe('P', '') : ()), PgWire::execute(), PgWire::sync()); return $c->until_ready; }
sub told { my ($a) = @_; return $a->{error} ? "$a->{error}{C} $a->{status}" : rows($a); }
# Run something while the other client holds one server: so each of the two is used.
sub on_each_server { my ($code) = @_; my @got; for my $n (0, 1) { $d->ask('begin') if $n; push @got, $code->(); $d->ask('commit') if $n; } return @got; }

$pg->sql("create table t(a int, b text); insert into t values (1, 'x'), (2, 'y')");
prepare($c, 's', 'select * from t where a = $1');
is_deeply([on_each_server(sub { told(run_it($c, 's', 1, 1)) })], ['1,x', '1,x'], 'prepared on both servers');
$pg->sql('alter table t add c int default 7');
$a = run_it($c, 's', 1, 2);
is(told($a), '2,y,7', 'a group that describes its portal is run again, unseen');
is($a->{types}, '2TDCZ', '... with the answers the client expects');
is_deeply([on_each_server(sub { told(run_it($c, 's', 1, 2)) })], ['2,y,7', '2,y,7'], '... on every server');

$pg->sql('alter table t drop c');
is(told(run_it($c, 's', 0, 1)), '0A000 I', 'a client that does not ask for the columns is told');
is_deeply([on_each_server(sub { told(run_it($c, 's', 0, 1)) })], ['1,x', '1,x'], '... once, wherever it runs next');

$pg->sql('alter table t add c int default 8');
$c->ask('begin');
is(told(run_it($c, 's', 1, 1)), '0A000 E', 'in a transaction the client is told');
is(told(run_it($c, 's', 1, 1)), '25P02 E', '... and the transaction has failed');
$c->ask('rollback');
is(told(run_it($c, 's', 1, 1)), '1,x,8', '... afterwards it works');

$pg->sql('alter table t drop c');
$c->send(PgWire::query('insert into t values (3)'), PgWire::bind_message('', 's', 3), PgWire::describe('P', ''), PgWire::execute(), PgWire::sync(), PgWire::query('select 9'));
$c->until_ready;
$a = $c->until_ready;
like(told($a), qr/^(0A000 I|3,NULL)$/, 'behind another group it is run again or told');
is(rows($c->until_ready), '9', '... and the next group gets its own answer');
is(told(run_it($c, 's', 1, 3)), '3,NULL', '... then it works');

$c->send(PgWire::parse('late', 'select * from t where a = $1'), PgWire::describe('S', 'late'), PgWire::sync());
is($c->until_ready->{types}, '1tTZ', 'Parse and Describe of a text that the server has already');
for my $describe (['a statement made before' => sub { $c->send(PgWire::describe('S', 's'), PgWire::sync()); return $c->until_ready }, 'tTZ'],
	['a new name for it' => sub { return prepare($c, 'later', 'select * from t where a = $1') }, '1tTZ'])
{
	my ($what, $code, $types) = @$describe;

	$pg->sql('alter table t add z int');
	is($code->()->{types}, $types, "Describe of $what after its columns have changed");
	$pg->sql('alter table t drop z');
	$c->ask('begin');
	is(told(prepare($c, "in $what", 'select * from t where a = $1')), '0A000 E', '... in a transaction it is told, as it must be');
	$c->ask('rollback');
}
is(told(run_it($c, 'later', 1, 3)), '3,NULL', '... and it works');

# A driver that writes each message by itself: the error comes before the rest of the group.
$pg->sql('alter table t add c int default 10');
for my $part (PgWire::bind_message('', 's', 1), PgWire::describe('P', ''), PgWire::execute(), PgWire::sync()) { $c->send($part); select undef, undef, undef, 0.1; }
$a = $c->until_ready;
is(told($a) . " $a->{types}", '1,x,10 2TDCZ', 'messages that come one by one are run again too');
$pg->sql('alter table t drop c');
for my $part (PgWire::bind_message('', 's', 1), PgWire::describe('P', '')) { $c->send($part); select undef, undef, undef, 0.1; }
$c->send(PgWire::flush_message());
is($c->next_message->{type}, 'E', '... unless the client asks for its answer first');
$c->send(PgWire::sync());
is($c->until_ready->{types}, 'Z', '... then the error is told in its place');

$pg->sql('alter table t add c int default 9');
$c->send(PgWire::bind_message('', 's', 1), PgWire::describe('P', ''), PgWire::execute(), PgWire::sync(), PgWire::query('select 10'));
like(told($c->until_ready), qr/^(0A000 I|1,x,9)$/, 'with the next group already there it is told, or run again');
is(rows($c->until_ready), '10', '... the order is kept');

prepare($d, 'other', 'select * from t order by a limit 1');
run_it($d, 'other', 1);
$pg->sql('alter table t drop c');
$a = prepare($d, 'again', 'select * from t order by a limit 1');
$d->send(PgWire::describe('S', 'other'), PgWire::sync());
$a = $d->until_ready;
like($a->{error} ? $a->{error}{C} : 'none', qr/^(0A000|none)$/, 'Describe of an outdated statement is an error at most once');
$d->send(PgWire::describe('S', 'other'), PgWire::sync());
is($d->until_ready->{types}, 'tTZ', '... then it tells the new columns');

# A new client whose Parse is answered without asking the server must not hear of an old plan either.
my $new = $w->wire;
$new->send(PgWire::parse('mine', 'select * from t where a = $1'), PgWire::bind_message('', 'mine', 1), PgWire::describe('P', ''), PgWire::execute(), PgWire::sync());
$a = $new->until_ready;
is("$a->{types} " . told($a), '12TDCZ 1,x', 'a new client that prepares an outdated text is served');
is(told(run_it($new, 'mine', 1, 2)), '2,y', '... and goes on');

$pg->sql('drop table t');
$a = run_it($c, 's', 1, 1);
is(told($a), '42P01 I', 'a statement that cannot be prepared any more gives the reason');
$pg->sql("create table t(z int); insert into t values (5)");
like(told(run_it($c, 's', 1, 1)), qr/^42703/, '... each time');
is($c->value('select 11'), 11, 'the session lives');

# A storm: DDL while clients run, none of which may see anything but right rows.
$pg->sql("create table u(a int, b text); insert into u select g, 'v' || g from generate_series(1, 50) g");
my @clients = map { $w->wire } 1 .. 6;
prepare($_, 'q', 'select * from u where a = $1') for @clients;
my ($wrong, $n) = (0, 0);
for my $round (1 .. 30)
{
	$pg->sql($round % 2 ? 'alter table u add c int default 1' : 'alter table u drop c') if $round % 3 == 0;
	for my $i (0 .. $#clients) { my $v = 1 + ($round * 7 + $i) % 50; $clients[$i]->send(PgWire::bind_message('', 'q', $v), PgWire::describe('P', ''), PgWire::execute(), PgWire::sync()); }
	for my $i (0 .. $#clients) { my $v = 1 + ($round * 7 + $i) % 50; my $x = $clients[$i]->until_ready; $n++; $wrong++ unless !$x->{error} && $x->{rows}[0][0] == $v && $x->{rows}[0][1] eq "v$v"; }
}
is("$n $wrong", '180 0', 'columns come and go, and nobody notices');

my ($mem) = grep { $_->{name} eq 'server_prepared_statement_cache' } @{$w->console('show mem')};
cmp_ok($mem->{memtotal}, '>', 0, 'SHOW MEM tells the memory of prepared statements');
my $before = $mem->{memtotal};
my $text = 'select 1 /*' . 'x' x 20000 . '*/';
prepare($_, 'big', $text) for @clients;
($mem) = grep { $_->{name} eq 'server_prepared_statement_cache' } @{$w->console('show mem')};
cmp_ok($mem->{memtotal} - $before, '<', 21500, 'six clients share one copy of a text');
done_testing;
