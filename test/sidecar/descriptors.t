# The limit of open files: raised at start as far as permitted; what it leaves no room for is said, and turned away rather than left waiting.
use PgweirTest;

my $pg = server(preload => '');
my ($w, $room, @c);

sub limited { my ($soft, $hard, $clients) = @_; return sidecar($pg, under => ['prlimit', "--nofile=$soft:$hard"], settings => {max_client_conn => $clients, default_pool_size => 5, worker_threads => 2, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even'}); }
sub refused { my $f = $w->wire(may_fail => 1)->{failed} // {C => '-', M => 'none'}; return "$f->{C} $f->{M}"; }

$w = limited(60, 2000, 1000);
like(slurp("/proc/$w->{pid}/limits"), qr/^Max open files\s+10\d\d\s+2000/m, 'what max_client_conn needs is taken');
like($w->log, qr/kernel file descriptor limit: 10\d\d; max_client_conn: 1000, max expected fd use: 10\d\d\n/, '... and said');
unlike($w->log, qr/limit of open files/, '... without a warning');
$w->stop;

$w = limited(60, 150, 1000);
like(slurp("/proc/$w->{pid}/limits"), qr/^Max open files\s+150\s+150/m, 'no further than permitted');
like($w->log, qr/WARNING the limit of open files is 150, but max_client_conn = 1000 and the pools may need 10\d\d: raise it \(ulimit -n, LimitNOFILE=, and fs.nr_open\), or lower max_client_conn/, '... and what it would take is said');
($room) = $w->log =~ /no more than (\d+) clients are let in/;
cmp_ok($room // 0, '>', 50, '... with how many clients it is good for');
@c = map { $w->wire } 1 .. $room;
is(refused(), '08P01 no more connections allowed (limit of open files)', 'one more is told so at once');
is_deeply([map { $c[$_]->value("select $_") } 0, $room - 1], [0, $room - 1], '... and those who are there are served');
(pop @c)->disconnect;
eventually { refused() eq '- none' } 'whoever leaves makes room';
pass('... for another');
done_testing;
