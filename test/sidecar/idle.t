# Pools and databases made on demand are forgotten when nobody uses them; login_notify_message.
use PgweirTest;

my $pg = server(preload => '');
my ($w, $c, $d);

sub pools { return join ' ', map { "$_->{database}/$_->{user}" } grep { $_->{database} ne 'pgbouncer' } @{$w->console('show pools')}; }
sub databases { return join ' ', map { $_->{name} } grep { $_->{name} ne 'pgbouncer' } @{$w->console('show databases')}; }
sub stats { return join ' ', map { "$_->{database}:$_->{total_xact_count}" } grep { $_->{database} ne 'pgbouncer' } @{$w->console('show stats')}; }

$pg->sql('create role app login');
$w = sidecar($pg, databases => {fixed => 'dbname=postgres', '*' => ''}, auth => {postgres => '', app => ''},
	settings => {pool_idle_timeout => 0.3, server_idle_timeout => 0, login_notify_message => "it's a test; = and # are data"});

# --- login_notify_message ---
my $notice = PgWire->open_socket(port => $w->port);
$notice->send(PgWire::startup(user => 'postgres', database => 'fixed'));
my $welcome = $notice->until_ready;
is("@{[map { qq($_->{S} $_->{C} $_->{M}) } @{$welcome->{notices}}]}", "NOTICE 00000 it's a test; = and # are data", 'login_notify_message is sent at login');
like($welcome->{types}, qr/KNZ$/, '... before ReadyForQuery, so that psql shows it');
is(scalar @{$notice->ask('select 1')->{notices}}, 0, '... once');
$notice->disconnect;
$w->set(login_notify_message => undef)->reload;
$notice = PgWire->open_socket(port => $w->port);
$notice->send(PgWire::startup(user => 'postgres', database => 'fixed'));
is(scalar @{$notice->until_ready->{notices}}, 0, '... not without it');
$notice->disconnect;

# --- pool_idle_timeout ---
$c = $w->wire(dbname => 'fixed', database => 'fixed');
$d = $w->wire(dbname => 'fixed', database => 'fixed', user => 'app');
$_->value('select 1') for $c, $d;
$c->disconnect; $d->disconnect;
eventually { my @idle = grep { $_->{sv_idle} } @{$w->console('show pools')}; @idle == 2 } 'both at rest';
select undef, undef, undef, 0.7;
is(pools(), 'fixed/app fixed/postgres', 'pool_idle_timeout: a pool with a server is not empty');
my $mark = $w->log_mark;
$w->set(server_idle_timeout => 0.1)->reload;
eventually { pools() eq '' } 'the pools to be forgotten';
is(stats(), '', '... an empty one is forgotten, with its statistics');
is(databases(), 'fixed', '... not the database');
$c = $w->wire(database => 'fixed');
is($c->value('select 2'), 2, '... and made anew when it is needed');
$w->set(pool_idle_timeout => 0)->reload;
$c->disconnect;
eventually { !grep { $_->{sv_idle} || $_->{cl_active} && $_->{database} ne 'pgbouncer' } @{$w->console('show pools')} } 'nobody there';
select undef, undef, undef, 0.4;
is(pools(), 'fixed/postgres', '... 0: never');

# --- autodb_idle_timeout ---
$w->set(autodb_idle_timeout => 0.3)->reload;
my $stay = $w->wire(database => 'template1');
$c = $w->wire(database => 'postgres');
$_->value('select 3') for $stay, $c;
is(databases(), 'fixed postgres template1', 'databases on demand');
eventually { pools() && !grep { $_->{database} eq 'postgres' && $_->{sv_idle} } @{$w->console('show pools')} } 'its server to go before its client';
$c->disconnect;
eventually { databases() eq 'fixed template1' } 'the unused one to be forgotten';
is(pools(), 'fixed/postgres template1/postgres', 'autodb_idle_timeout: ... with its pools');
select undef, undef, undef, 0.6;
is(databases(), 'fixed template1', '... one with a client stays');
is($stay->value('select 4'), 4, '... and works');
$w->console('pause template1');
$stay->disconnect;
select undef, undef, undef, 0.6;
is(databases(), 'fixed template1', '... as does one that is paused');
$w->console('resume template1');
eventually { databases() eq 'fixed' } 'it to be forgotten after all';
$c = $w->wire(database => 'postgres');
is($c->value('select 5'), 5, '... a forgotten one is made again');
is(scalar(() = $w->log_since(0) =~ /registered new auto-database: postgres/g), 2, '... which the log says');
$w->set(autodb_idle_timeout => 0)->reload;
$c->disconnect;
select undef, undef, undef, 0.5;
is(databases(), 'fixed postgres', '... 0: never');

# --- a database that has left the file ---
$w->{databases} = {other => 'dbname=postgres'};
$w->set->reload;
eventually { pools() eq '' } 'the pools of removed databases to be forgotten';
becomes { databases() } 'other', 'a database that has left the file is gone with its pools';
$w->{databases}{fixed} = 'dbname=postgres';
$w->set->reload;
is($w->wire(database => 'fixed')->value('select 6'), 6, '... and works when it comes back');
is($w->complaints, '', 'no complaints of sanitizers');
done_testing;
