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
done_testing;
