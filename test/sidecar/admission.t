# Admission as clients see it: a refusal at once, with numbers, and SHOW ADMISSION.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2, adaptive_pool => 1});
my @busy = map { $w->wire } 1 .. 8;
my @urgent = map { $w->wire } 1 .. 4;
my $c = $w->wire;
my $gate = $pg->psql_session;
my ($a, $row);

# Half a second, and then as long as the gate is shut.
$pg->sql('create function work() returns void language plpgsql as $$ begin perform pg_sleep(0.5); perform pg_advisory_xact_lock_shared(1); end $$');
# The class is learned: half a second each.
$c->ask('select work()') for 1 .. 3;
$gate->query('select pg_advisory_lock(1)');
# Those that wait have no time limit, but are older: urgent ones go before them until they have waited a second.
$_->send(PgWire::query('select work()')) for @busy;
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} >= 6 } 'a queue';
($row) = grep { $_->{database} eq 'postgres' } @{$w->console('show admission')};
is($row->{admission}, 'on', 'SHOW ADMISSION: it is on');
cmp_ok($row->{waiting}, '>=', 1, 'so many wait');
cmp_ok($row->{active_limit}, '>=', 1, 'adaptive_pool has a limit');
cmp_ok($row->{active_limit}, '<=', 2, '... not above the pool');
cmp_ok($row->{hold_us} + $row->{hold_slow_us}, '>', 100, 'the time a request holds its server is known');
is($row->{refused}, 0, 'nobody has been refused');
# One may be let in to measure the class anew, when none has ended for a quarter of a second; not the next within such a time.
my $refused = 0;
for (1 .. 20)
{
	$_->send(PgWire::query("/* pgweir_deadline='700ms' */ select work()")) for @urgent;
	my @answers = map { $_->until_ready } @urgent;
	my @told = grep { ($_->{error}{C} // '') eq '53300' } @answers;

	$refused += @told;
	$a = $told[0] // $answers[0];
	last if @told;
}
is($a->{error}{C} // 'no error', '53300', 'what cannot be in time is refused with 53300');
is($a->{error}{M}, 'query refused: it cannot meet its deadline', '... and says so');
like($a->{error}{D}, qr/^Deadline 700 ms: waited 0 ms for a server connection; expected are \d+ ms more to wait and \d+ ms to run\.$/, '... at once, with the numbers');
like($a->{error}{H}, qr/^Retry after \d+ ms/, '... and when to come back');
($row) = grep { $_->{database} eq 'postgres' } @{$w->console('show admission')};
is($row->{refused}, $refused, 'it is counted');
$gate->query('select pg_advisory_unlock(1)');
is($_->until_ready->{error}, undef, 'who has no deadline is served') for @busy;
is($c->ask("/* pgweir_deadline='60s' */ select work()")->{error}, undef, 'and who has the time too');
done_testing;
