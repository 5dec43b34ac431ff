# Memory: what thousands of clients had goes back to the system when they have gone.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {max_client_conn => 2000, verbose => 1, max_prepared_statements => 5});
my @c = map { $w->wire } 1 .. 10;
my $text = 'x' x 20000;
my ($idle, $full);

sub resident { return (slurp("/proc/$w->{pid}/status") =~ /^VmRSS:\s+(\d+)/m)[0]; }
# Each with a statement that nobody else has, which is kept for it; servers keep few.
sub prepare { my ($c, $i) = @_; $c->send(PgWire::parse('s', "select $i, '$text'"), PgWire::sync()); return $c->until_ready; }

prepare($c[$_], -1 - $_) for 0 .. 9;
$idle = resident();
push @c, map { my $c = $w->wire; prepare($c, $_); $c } 1 .. 700;
$full = resident();
cmp_ok($full - $idle, '>', 12000, 'seven hundred clients with 20 kB each are to be seen');
$_->disconnect for splice @c, 10;
eventually { resident() - $idle < ($full - $idle) / 2 } 'more than half of it has gone back';
like($w->log, qr/many clients have gone: memory is given back/, 'the log says so, to those who want to know');
is($c[0]->value('select 5'), 5, 'who stayed is served');
$_->disconnect for @c;
$w->stop;

# --- 50,000 names ---

my $limit = 20_000_000;
my $names = 50_000;
$w = sidecar($pg, settings => {max_prepared_statements => 200, default_pool_size => 1, max_client_statement_bytes => $limit});

# So many names from $from on; the error that it ended with.
sub prepare_names
{
	my ($c, $from, $count, $text) = @_;

	for (my $i = $from; $i < $from + $count; $i += 1000)
	{
		$c->send((map { PgWire::parse("name$_", "$text$_") } $i .. $i + 999), PgWire::sync());
		my $answer = $c->until_ready;
		return $answer->{error} if $answer->{error};
	}
	return;
}
sub cached { my ($row) = grep { $_->{name} eq 'server_prepared_statement_cache' } @{$w->console('show mem')}; return $row->{used}; }

my $c = $w->wire;
$c->ask('select 1');
my $before = resident();
is(prepare_names($c, 0, $names, 'select 1 + '), undef, 'a client prepares 50,000 statements');
cmp_ok(1024 * (resident() - $before), '<', $limit * 1.5, '... in the memory that a client may have for them');
is(cached(), $names, '... all of which are known');
is($c->value('select count(*) from pg_prepared_statements'), 200, '... while the server keeps max_prepared_statements of them');
$c->send(PgWire::bind_message('', 'name17'), PgWire::execute(), PgWire::sync());
is($c->until_ready->{rows}[0][0], 18, 'an old one is there when it is asked for');
$before = resident();
my $d = $w->wire;
is(prepare_names($d, 0, $names, 'select 1 + '), undef, 'another client prepares the same');
is(cached(), $names, '... and shares them');
my $error = prepare_names($d, $names, 100_000, 'select ' . '1 + ' x 100);
is("$error->{S} $error->{M}", 'FATAL too many or too large prepared statements (max_client_statement_bytes)', 'who wants more than that is disconnected');
cmp_ok(1024 * (resident() - $before), '<', $limit * 1.5, '... before it had much more');
eventually { cached() <= $names + 200 } 'what it had is forgotten, but for what the server has';
is($c->value('select 6'), 6, 'the other stays');
$c->disconnect;
eventually { cached() <= 200 } 'nothing but what the server has is left';
pass('all that clients prepared goes with them');
done_testing;
