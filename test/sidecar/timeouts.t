# Time limits of PgBouncer: each with its text, its effect and its time, also per user and database where that exists.
use PgweirTest;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my $pg = server(preload => '');
my @users = qw(postgres quick);
$pg->sql('create role quick login superuser');
my %base = (pool_mode => 'transaction', default_pool_size => 2);
my $w = sidecar($pg, settings => \%base, auth => {map { $_ => '' } @users},
	databases => {postgres => '', one => 'dbname=postgres pool_size=1', patient => 'dbname=postgres pool_size=1 query_wait_timeout=0', hasty => 'dbname=postgres pool_size=1 query_wait_timeout=1'});
my $t;

# The text and the time after which a client is disconnected.
sub ends_with { my ($c, $text, $at, $name) = @_; my $a = $c->until_ready; my $e = $a->{errors}[-1] // {}; is("$e->{S} $e->{C} $e->{M}", "FATAL 08P01 $text", $name); cmp_ok(abs(time - $t - $at), '<', 0.35, "... after $at s"); ok(!defined $a->{status}, '... and is disconnected'); return; }
sub settings { my (%s) = @_; $w->{settings} = {%{$w->{settings}}, query_timeout => 0, query_wait_timeout => 120, client_idle_timeout => 0, transaction_timeout => 0, idle_transaction_timeout => 0, query_wait_notify => 5, %s}; $w->write_config; $w->reload; return; }
sub per_user { my ($text) = @_; $w->{users} = $text eq '' ? {} : {quick => $text}; $w->write_config; $w->reload; return; }

# --- query_timeout ---
settings(query_timeout => 0.5);
my $c = $w->wire;
$t = time; $c->send(PgWire::query('select pg_sleep(20)'));
ends_with($c, 'query timeout', 0.5, 'query_timeout while it runs');
eventually { !$pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(20)%' and state = 'active' and pid <> pg_backend_pid()") } 'the statement is cancelled', 5;
my $holder = $w->wire(database => 'patient'); # begins before the limit counts for it
$holder->ask('begin');
$c = $w->wire(database => 'patient');
$t = time; $c->send(PgWire::query('select 1'));
ends_with($c, 'query_timeout', 0.5, 'query_timeout in the queue has its other text');
$holder->disconnect;
settings();
per_user('query_timeout=1');
($c, my $other) = ($w->wire(user => 'quick'), $w->wire);
$other->send(PgWire::query('select pg_sleep(1.5)'));
$t = time; $c->send(PgWire::query('select pg_sleep(20)'));
ends_with($c, 'query timeout', 1, 'query_timeout of a user');
is($other->until_ready->{status}, 'I', '... is for that user alone');

# --- query_wait_timeout, query_wait_notify ---
per_user('');
settings(query_wait_timeout => 0.5);
$holder = $w->wire(database => 'one'); $holder->ask('begin');
$c = $w->wire(database => 'one');
$t = time; $c->send(PgWire::query('select 1'));
ends_with($c, 'query_wait_timeout', 0.5, 'query_wait_timeout');
$holder->disconnect;
my ($hp, $hh) = ($w->wire(database => 'patient'), $w->wire(database => 'hasty'));
$_->ask('begin') for $hp, $hh;
my $p = $w->wire(database => 'patient');
$p->send(PgWire::query('select 2'));
$c = $w->wire(database => 'hasty');
$t = time; $c->send(PgWire::query('select 1'));
ends_with($c, 'query_wait_timeout', 1, 'query_wait_timeout of a database');
$hp->ask('rollback');
is($p->until_ready->{rows}[0][0], 2, '... and 0 there means no limit');
$hp->disconnect; $hh->disconnect;
settings();
per_user('query_wait_timeout=1');
my $hq = $w->wire(user => 'quick', database => 'patient');
$hq->ask('begin');
$c = $w->wire(user => 'quick', database => 'patient');
$t = time; $c->send(PgWire::query('select 1'));
ends_with($c, 'query_wait_timeout', 1, 'query_wait_timeout of a user beats the database');
$hq->disconnect;
per_user('');
settings(query_wait_notify => 1);
$holder = $w->wire(database => 'one'); $holder->ask('begin');
$c = $w->wire(database => 'one');
$t = time; $c->send(PgWire::query('select 3'));
my $m = $c->next_message;
my $n = PgWire::error_fields($m->{payload});
is("$m->{type} $n->{S} $n->{M}", 'N NOTICE No server connection available in postgres backend, client being queued', 'query_wait_notify sends a notice');
cmp_ok(abs(time - $t - 2), '<', 0.35, '... when the whole seconds in the queue exceed it');
$holder->ask('rollback');
my $a = $c->until_ready;
is("$a->{rows}[0][0] " . @{$a->{notices}}, '3 0', '... once, and the query runs');
$holder->disconnect;

# --- client_idle_timeout ---
settings(client_idle_timeout => 0.5);
$c = $w->wire; $t = time;
ends_with($c, 'client_idle_timeout', 0.5, 'client_idle_timeout');
$c = $w->wire; $c->ask('begin');
sleep 0.8;
is($c->ask('select 1')->{status}, 'T', '... does not count with a server at hand');
$c->disconnect;
# In session mode a client has its server at hand from its first statement on: the one that has run nothing goes, later than the other began to idle.
{
	my $s = sidecar($pg, settings => {pool_mode => 'session', client_idle_timeout => 0.5});
	my $linked = $s->wire;

	$linked->ask('select 1');
	is($s->wire->until_ready->{errors}[-1]{M}, 'client_idle_timeout', '... in session mode who has run nothing is idle');
	is($linked->value('select 2'), 2, '... and who has kept his server is not');
}
settings();
per_user('client_idle_timeout=1');
($c, $other) = ($w->wire(user => 'quick'), $w->wire);
$t = time;
ends_with($c, 'client_idle_timeout', 1, 'client_idle_timeout of a user');
is($other->value('select 1'), 1, '... leaves others alone');

# --- transaction_timeout, idle_transaction_timeout ---
per_user('');
settings(idle_transaction_timeout => 0.5);
$c = $w->wire; $c->ask('begin'); $t = time;
ends_with($c, 'idle transaction timeout', 0.5, 'idle_transaction_timeout');
$c = $w->wire; $c->ask('begin');
is($c->ask('select pg_sleep(0.8)')->{status}, 'T', '... does not count while a statement runs');
$c->disconnect;
settings(transaction_timeout => 0.8);
$c = $w->wire; $t = time; $c->ask('begin');
sleep 0.4; $c->ask('select 1');
ends_with($c, 'transaction timeout', 0.8, 'transaction_timeout counts from the begin');
$c = $w->wire; $t = time; $c->send(PgWire::query('select pg_sleep(20)'));
ends_with($c, 'transaction timeout', 0.8, '... also for a single statement');
settings();
for (['idle_transaction_timeout', 'idle transaction timeout'], ['transaction_timeout', 'transaction timeout'])
{
	per_user("$_->[0]=1");
	($c, $other) = ($w->wire(user => 'quick'), $w->wire);
	$other->ask('begin'); $t = time; $c->ask('begin');
	ends_with($c, $_->[1], 1, "$_->[0] of a user");
	sleep 0.3;
	is($other->ask('select 1')->{status}, 'T', '... is for that user alone');
	$other->disconnect;
}
per_user('');

# --- client_login_timeout, server_connect_timeout ---
settings(client_login_timeout => 0.7, tcp_defer_accept => 0);
my $silent = PgWire->open_socket(port => $w->port);
$t = time;
ends_with($silent, 'client_login_timeout', 0.7, 'client_login_timeout of a client that says nothing');
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die; # accepts and never answers
$w->{databases}{$_} = 'dbname=postgres host=127.0.0.1 port=' . $hole->sockport for qw(hole deep);
settings(client_login_timeout => 0.7);
$t = time;
my $failed = $w->wire(database => 'hole', may_fail => 1)->{failed};
is("$failed->{S} $failed->{M}", 'FATAL client_login_timeout (server down)', 'client_login_timeout of one that waits for the server');
cmp_ok(abs(time - $t - 0.7), '<', 0.35, '... after 0.7 s');
settings(client_login_timeout => 60, server_connect_timeout => 0.6, server_login_retry => 0.2);
my $mark = $w->log_mark;
$c = PgWire->open_socket(port => $w->port);
$t = time; $c->send(PgWire::startup(user => 'postgres', database => 'deep'));
$w->wait_log(qr/closing because: connect timeout/, $mark, 5);
cmp_ok(abs(time - $t - 0.6), '<', 0.4, 'server_connect_timeout gives a mute server up');
close $c->{socket};

# --- server_idle_timeout, server_lifetime ---
settings(server_connect_timeout => 15, server_idle_timeout => 0.5);
$mark = $w->log_mark;
$c = $w->wire; $c->value('select 1'); $t = time;
$w->wait_log(qr/closing because: server idle timeout/, $mark, 5);
cmp_ok(abs(time - $t - 0.5), '<', 0.4, 'server_idle_timeout');
settings(server_idle_timeout => 600, server_lifetime => 1);
$mark = $w->log_mark;
my $first = $c->value('select pg_backend_pid()'); $t = time;
$w->wait_log(qr/closing because: server lifetime over/, $mark, 5);
cmp_ok(time - $t, '<', 1.5, 'server_lifetime closes an idle server');
$c->ask('begin');
my $pid = $c->value('select pg_backend_pid()');
isnt($pid, $first, '... and the next one is new');
sleep 1.3;
is($c->value('select pg_backend_pid()'), $pid, '... never one in use');
$c->ask('commit');
settings(server_lifetime => 0);
my %pids = map { $c->value('select pg_backend_pid()') => 1 } 1 .. 4;
is(scalar keys %pids, 4, 'server_lifetime = 0 uses each server once');
done_testing;
