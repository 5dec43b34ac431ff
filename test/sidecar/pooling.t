# The keys that decide about server connections: sizes, reserve, limits with eviction, checks, resets, order, hosts, login failures.
use PgweirTest;
use Time::HiRes qw(time sleep);

my $pg = server(preload => '', conf => {log_statement => 'all', max_connections => 40});
$pg->sql('create role other login superuser; create role limited login connection limit 0; create database second');
my %auth = (auth => {map { $_ => '' } qw(postgres other limited)});
my ($w, $c, $d, $a, $t, %pids, $mark);

sub weir { my ($settings, %o) = @_; $w->stop if $w; return $w = sidecar($pg, settings => {default_pool_size => 2, %$settings}, %auth, %o); }
sub backends { my ($where) = @_; return $pg->sql("select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()" . ($where ? " and $where" : '')); }
sub pg_mark { return length $pg->log; }
sub pg_since { return substr $pg->log, $_[0]; }
sub pid { return $_[0]->value('select pg_backend_pid()'); }

# --- default_pool_size, reserve_pool_size, reserve_pool_timeout ---
weir({default_pool_size => 1, reserve_pool_size => 1, reserve_pool_timeout => 0.5});
($c, $d) = ($w->wire, $w->wire);
$c->ask('begin');
$t = time;
is($d->ask('select 1')->{rows}[0][0], 1, 'a client in need gets a server of the reserve');
cmp_ok(time - $t, '>=', 0.5, '... after reserve_pool_timeout');
like($w->log, qr/taking connection from reserve_pool/, '... and the log says so');
$c->ask('begin'); $d->ask('begin');
my $e = $w->wire;
$e->send(PgWire::query('select 3'));
eventually { $w->pool('postgres', 'postgres')->{cl_waiting} == 1 } 'one waits';
sleep 0.8;
is($w->pool('postgres', 'postgres')->{cl_waiting}, 1, 'there is no more than the pool and its reserve');
$_->ask('rollback') for $c, $d;
is($e->until_ready->{rows}[0][0], 3, '... the next waits for its turn');

# --- min_pool_size ---
weir({min_pool_size => 2, default_pool_size => 4});
$c = $w->wire;
eventually { my $p = $w->pool('postgres', 'postgres'); $p->{sv_idle} == 2 } 'min_pool_size servers are there';
pass('min_pool_size keeps so many once there is a client');
weir({}, databases => {postgres => '', forced => 'dbname=postgres user=postgres min_pool_size=2'});
$w->wire(database => 'forced')->disconnect;
eventually { $w->pool('forced', 'postgres')->{sv_idle} == 2 } 'a forced user has its minimum without clients';
pass('... with a forced user also without clients');

# --- max_db_connections, max_user_connections ---
weir({max_db_connections => 1});
$c = $w->wire; $d = $w->wire(user => 'other');
my $first = pid($c);
isnt(pid($d), $first, 'max_db_connections: an idle server of another user gives way');
like($w->log, qr/closing because: evicted/, '... and the log says that it was evicted');
becomes { backends() } 1, '... so that there is one';
$c->ask('begin');
$d->send(PgWire::query('select 4'));
eventually { $w->pool('postgres', 'other')->{cl_waiting} == 1 } 'it waits';
sleep 0.3;
is($w->pool('postgres', 'other')->{cl_waiting}, 1, '... one in use does not');
$c->ask('commit');
is($d->until_ready->{rows}[0][0], 4, '... until it is free');
weir({max_user_connections => 1}, databases => {postgres => '', second => ''});
$c = $w->wire; $d = $w->wire(database => 'second');
pid($c); pid($d);
becomes { backends("usename = 'postgres'") } 1, 'max_user_connections: the same over databases';
weir({}, users => {other => 'max_user_connections=1 pool_size=5'});
my @five = map { $w->wire(user => 'other') } 1 .. 5;
$five[0]->ask('begin');
$_->send(PgWire::query('select 1')) for @five[1 .. 4];
eventually { $w->pool('postgres', 'other')->{cl_waiting} == 4 } 'four wait';
is($w->pool('postgres', 'other')->{sv_active}, 1, 'max_user_connections of a user beats its pool_size');
$five[0]->ask('commit');
$_->until_ready for @five[1 .. 4];

# --- server_check_query, server_check_delay ---
weir({server_check_query => 'select 4242', server_check_delay => 600});
$c = $w->wire; pid($c);
$mark = pg_mark();
pid($c);
unlike(pg_since($mark), qr/select 4242/, 'no check of a server that was just used');
$w->set(server_check_delay => 0.3)->reload;
sleep 0.5;
pid($c);
like(pg_since($mark), qr/select 4242/, 'server_check_query precedes the use after server_check_delay');
sleep 0.4;
$pg->sql('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = \'client backend\'');
sleep 0.4;
is($c->value('select 5'), 5, 'a server that has died is never given out');
weir({server_check_query => '', server_check_delay => 0});
$c = $w->wire; pid($c); $mark = pg_mark(); pid($c);
is(scalar(() = pg_since($mark) =~ /statement:/g), 1, 'an empty server_check_query means no check');

# --- server_reset_query, server_reset_query_always ---
weir({pool_mode => 'session', default_pool_size => 1, server_reset_query => 'discard temp; reset work_mem'});
$c = $w->wire; $c->ask("set work_mem = '5MB'"); $first = pid($c); $c->disconnect;
$d = $w->wire;
is(pid($d) . $d->value('show work_mem'), "${first}4MB", 'server_reset_query runs between clients of session mode');
weir({default_pool_size => 1, server_reset_query => 'reset work_mem'});
$c = $w->wire; $c->ask("set work_mem = '5MB'");
is($c->value('show work_mem'), '5MB', '... not in transaction mode');
weir({default_pool_size => 1, server_reset_query => 'reset work_mem', server_reset_query_always => 1});
$c = $w->wire; $c->ask("set work_mem = '5MB'");
is($c->value('show work_mem'), '4MB', '... but with server_reset_query_always');

# --- connect_query ---
weir({}, databases => {postgres => "connect_query='set work_mem = ''6MB'''"});
is($w->wire->value('show work_mem'), '6MB', 'connect_query runs after each login to the server');
weir({}, databases => {postgres => "connect_query='selec'"});
is($w->wire->value('select 6'), 6, '... and its failure is only logged');
like($w->log, qr/server error: syntax error/, '... it is');

# --- server_round_robin ---
for my $rr (0, 1)
{
	weir({server_round_robin => $rr, default_pool_size => 3, worker_spread => 'even'}); # a client that moves gets one that is at hand
	my @c = map { $w->wire } 1 .. 3;
	$_->ask('begin') for @c; $_->ask('commit') for @c;
	%pids = map { pid($c[0]) => 1 } 1 .. 9;
	is(scalar keys %pids, $rr ? 3 : 1, $rr ? 'server_round_robin uses the servers in turn' : 'without it the last one used comes first');
}

# --- hosts: round robin, load_balance_hosts ---
my $pg2 = server(preload => '', port => $pg->{port}, conf => {listen_addresses => '127.0.0.2'});
for my $balance ('', 'load_balance_hosts=disable')
{
	weir({default_pool_size => 4}, databases => {postgres => "host=127.0.0.1,127.0.0.2 $balance"});
	my @c = map { $w->wire } 1 .. 4;
	$_->ask('begin') for @c;
	my %hosts;
	$hosts{$_->value('select inet_server_addr()')}++ for @c;
	is(join(' ', map { "$_:$hosts{$_}" } sort keys %hosts), $balance ? '127.0.0.1:4' : '127.0.0.1:2 127.0.0.2:2', $balance ? "$balance stays on one host" : 'several hosts take turns') or diag explain \%hosts;
}
$pg2->stop;
weir({}, databases => {postgres => 'host=127.0.0.2,127.0.0.1 load_balance_hosts=disable'});
is($w->wire->value('select inet_server_addr()'), '127.0.0.1', '... until a connect to it fails');
weir({}, databases => {postgres => 'host=127.0.0.2,127.0.0.1'});
is_deeply([map { my $x = $w->wire; $x->value('select 7') } 1 .. 4], [7, 7, 7, 7], 'a dead host of several is passed over');

# --- server_login_retry ---
weir({server_login_retry => 600});
$pg->sql('alter role limited nosuperuser');
my $f = $w->wire(user => 'limited', may_fail => 1)->{failed};
is("$f->{C} $f->{M}", '53300 too many connections for role "limited"', "who waits hears PostgreSQL's own message and code");
$f = $w->wire(user => 'limited', may_fail => 1)->{failed};
is("$f->{C} $f->{M}", '08P01 server login has been failing, cached error: too many connections for role "limited" (server_login_retry)', 'who comes later is told so, at once');
$pg->sql('alter role limited connection limit 5');
isnt($w->wire(user => 'limited', may_fail => 1)->{failed}, undef, '... though it would work again');
$pg->sql('alter role limited connection limit 0');
weir({server_login_retry => 2});
$t = time;
isnt($w->wire(user => 'limited', may_fail => 1)->{failed}, undef, 'another that fails');
$pg->sql('alter role limited connection limit 5');
eventually { !$w->wire(user => 'limited', may_fail => 1)->{failed} } 'it works';
cmp_ok(time - $t, '>=', 2, '... works when server_login_retry has passed');
done_testing;
