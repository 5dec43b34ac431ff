# Time limits of PgBouncer: each with its text, its effect and its time, also per user and database where that exists.
use PgweirTest;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my $pg = server(preload => '');
my @users = qw(postgres quick);
$pg->sql('create role quick login superuser');
my %base = (pool_mode => 'transaction', default_pool_size => 2);
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 200, ReuseAddr => 1) or die; # accepts and never answers
my $mute = 'dbname=postgres host=127.0.0.1 port=' . $hole->sockport;
my $w = sidecar($pg, settings => \%base, auth => {map { $_ => '' } @users}, databases => {
	postgres => '', one => 'dbname=postgres pool_size=1', patient => 'dbname=postgres pool_size=1 query_wait_timeout=0', hasty => 'dbname=postgres pool_size=1 query_wait_timeout=1',
	hole => $mute, map({ ("deep$_" => $mute) } 1 .. 25)});
my $t;

sub settings { my (%s) = @_; $w->{settings} = {%{$w->{settings}}, query_timeout => 0, query_wait_timeout => 120, client_idle_timeout => 0, transaction_timeout => 0, idle_transaction_timeout => 0, query_wait_notify => 5, %s}; $w->write_config; $w->reload; return; }
sub per_user { my ($text) = @_; $w->{users} = $text eq '' ? {} : {quick => $text}; $w->write_config; $w->reload; return; }
# A client within a transaction, so that its server is not for others.
sub holder { my (@as) = @_; return eventually { my $c = $w->wire(@as); ($c->ask('begin')->{status} // '') eq 'T' && $c } 'a transaction'; }
# Two servers are there, so that nobody waits for one to be opened.
sub warm { my @c = map { holder(@_) } 1 .. 2; $_->disconnect for @c; return; }

# The text and the time after which a client is disconnected.  The code makes the client, and sets $t when its time begins or before; when the machine
# stands still on the way another comes of it, or it comes late: then it is tried again.
sub ends_with
{
	my ($make, $text, $at, $name) = @_;
	my ($heard, $status, $best);

	for (1 .. 25)
	{
		my $c = $make->() or next;
		my $a = $c->until_ready;
		my $took = time - $t;
		my $e = $a->{errors}[-1] // {};

		($heard, $status) = (join(' ', map { $e->{$_} // '' } qw(S C M)), $a->{status});
		next if $heard ne "FATAL 08P01 $text";
		$best = $took if !defined $best || $took < $best;
		last if $best < $at + 0.35;
	}
	is($heard, "FATAL 08P01 $text", $name);
	cmp_ok(abs(($best // 1e9) - $at), '<', 0.35, "... after $at s");
	ok(!defined $status, '... and is disconnected');
	return;
}
# A client that asks, its time beginning there.
sub asks { my ($sql, @as) = @_; return sub { my $c = $w->wire(@as); $t = time; $c->send(PgWire::query($sql)); return $c; }; }
# One that begins a transaction, its time beginning there.
sub begins { my (@as) = @_; return sub { my $c = $w->wire(@as); $t = time; return ($c->ask('begin')->{status} // '') eq 'T' ? $c : undef; }; }
# One that comes and says nothing.
sub comes { my (@as) = @_; return sub { $t = time; return $w->wire(@as); }; }

# --- query_timeout ---
warm();
settings(query_timeout => 0.5);
ends_with(asks('select pg_sleep(2000)'), 'query timeout', 0.5, 'query_timeout while it runs');
eventually { !$pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(2000)%' and state = 'active' and pid <> pg_backend_pid()") } 'the statement is cancelled';
settings();
my $holder = holder(database => 'patient'); # begins before the limit counts for it
settings(query_timeout => 0.5);
ends_with(asks('select 1', database => 'patient'), 'query_timeout', 0.5, 'query_timeout in the queue has its other text');
$holder->disconnect;
settings();
warm(user => 'quick');
per_user('query_timeout=1');
my $other = $w->wire;
$other->send(PgWire::query('select pg_sleep(1.5)'));
ends_with(asks('select pg_sleep(2000)', user => 'quick'), 'query timeout', 1, 'query_timeout of a user');
is($other->until_ready->{status}, 'I', '... is for that user alone');

# --- query_wait_timeout, query_wait_notify ---
per_user('');
$holder = holder(database => 'one');
settings(query_wait_timeout => 0.5);
ends_with(asks('select 1', database => 'one'), 'query_wait_timeout', 0.5, 'query_wait_timeout');
$holder->disconnect;
my ($hp, $hh) = (holder(database => 'patient'), holder(database => 'hasty'));
my $p = $w->wire(database => 'patient');
$p->send(PgWire::query('select 2'));
ends_with(asks('select 1', database => 'hasty'), 'query_wait_timeout', 1, 'query_wait_timeout of a database');
$hp->ask('rollback');
is($p->until_ready->{rows}[0][0], 2, '... and 0 there means no limit');
$_->disconnect for $p, $hp, $hh;
settings();
my $hq = holder(user => 'quick', database => 'patient');
per_user('query_wait_timeout=1');
ends_with(asks('select 1', user => 'quick', database => 'patient'), 'query_wait_timeout', 1, 'query_wait_timeout of a user beats the database');
$hq->disconnect;
per_user('');
settings(query_wait_notify => 1);
$holder = holder(database => 'one');
my ($c, $n, $m);
my $least = 1e9;
in_time
{
	$c = $w->wire(database => 'one');
	$t = time; $c->send(PgWire::query('select 3'));
	$m = $c->next_message;
	my $took = time - $t;
	$least = $took if $took < $least;
	return $took;
}
2.35, 'query_wait_notify sends a notice when the whole seconds in the queue exceed it';
$n = PgWire::error_fields($m->{payload});
is("$m->{type} $n->{S} $n->{M}", 'N NOTICE No server connection available in postgres backend, client being queued', '... in these words');
cmp_ok($least, '>', 1.65, '... not before');
$holder->ask('rollback');
my $a = $c->until_ready;
is("$a->{rows}[0][0] " . @{$a->{notices}}, '3 0', '... once, and the query runs');
$holder->disconnect;

# --- client_idle_timeout ---
settings(client_idle_timeout => 0.5);
ends_with(comes(), 'client_idle_timeout', 0.5, 'client_idle_timeout');
$c = holder();
sleep 0.8;
is($c->ask('select 1')->{status}, 'T', '... does not count with a server at hand');
$c->disconnect;
# In session mode a client has its server at hand from its first statement on: the one that has run nothing goes, later than the other began to idle.
{
	my $s = sidecar($pg, settings => {pool_mode => 'session', client_idle_timeout => 0.5});
	my $linked = eventually { my $l = $s->wire; defined $l->ask('select 1')->{status} && $l } 'a statement';

	is($s->wire->until_ready->{errors}[-1]{M}, 'client_idle_timeout', '... in session mode who has run nothing is idle');
	is($linked->value('select 2'), 2, '... and who has kept his server is not');
}
settings();
per_user('client_idle_timeout=1');
$other = $w->wire;
ends_with(comes(user => 'quick'), 'client_idle_timeout', 1, 'client_idle_timeout of a user');
is($other->value('select 1'), 1, '... leaves others alone');

# --- transaction_timeout, idle_transaction_timeout ---
per_user('');
settings(idle_transaction_timeout => 0.5);
ends_with(begins(), 'idle transaction timeout', 0.5, 'idle_transaction_timeout');
$a = eventually { my $d = holder(); my $b = $d->ask('select pg_sleep(0.8)'); defined $b->{status} && $b } 'a statement that begins in time';
is($a->{status}, 'T', '... does not count while a statement runs');
settings(transaction_timeout => 0.8);
ends_with(sub { my $c = begins()->() or return; sleep 0.4; return defined $c->ask('select 1')->{status} ? $c : undef; }, 'transaction timeout', 0.8, 'transaction_timeout counts from the begin');
ends_with(asks('select pg_sleep(2000)'), 'transaction timeout', 0.8, '... also for a single statement');
settings();
for (['idle_transaction_timeout', 'idle transaction timeout'], ['transaction_timeout', 'transaction timeout'])
{
	per_user("$_->[0]=1");
	$other = holder();
	ends_with(begins(user => 'quick'), $_->[1], 1, "$_->[0] of a user");
	sleep 0.3;
	is($other->ask('select 1')->{status}, 'T', '... is for that user alone');
	$other->disconnect;
}
per_user('');

# --- client_login_timeout, server_connect_timeout ---
settings(client_login_timeout => 0.7, tcp_defer_accept => 0);
ends_with(sub { $t = time; return PgWire->open_socket(port => $w->port); }, 'client_login_timeout', 0.7, 'client_login_timeout of a client that says nothing');
my $failed;
in_time
{
	$t = time;
	$failed = $w->wire(database => 'hole', may_fail => 1)->{failed};
	return $failed->{M} =~ /server down/ ? time - $t : undef;
}
1.05, 'client_login_timeout of one that waits for the server counts from its coming';
is("$failed->{S} $failed->{M}", 'FATAL client_login_timeout (server down)', '... in its own words');
$w->set(client_login_timeout => 60, server_connect_timeout => 0.6, server_login_retry => 0.2);
eventually { eval { $w->reload } } 'a login of the console in time';
my $deep = 0;
in_time
{
	my $mark = $w->log_mark;

	$deep++;
	$c = PgWire->open_socket(port => $w->port);
	$t = time; $c->send(PgWire::startup(user => 'postgres', database => "deep$deep"));
	$w->wait_log(qr/deep$deep\/.* closing because: connect timeout/, $mark);
	my $took = time - $t;
	close $c->{socket};
	return $took < 0.2 ? 1e9 : $took;
}
1, 'server_connect_timeout gives a mute server up';

# --- server_idle_timeout, server_lifetime ---
settings(server_connect_timeout => 15, server_idle_timeout => 0.5, client_login_timeout => 60);
in_time
{
	eventually { !@{$w->console('show servers')} } 'all servers to go';
	my $mark = $w->log_mark;
	$c = $w->wire; $t = time; $c->value('select 1');
	$w->wait_log(qr/closing because: server idle timeout/, $mark);
	my $took = time - $t;
	return $took < 0.5 ? 1e9 : $took;
}
0.9, 'server_idle_timeout';
settings(server_idle_timeout => 600, server_lifetime => 1);
my $first;
in_time
{
	my $mark = $w->log_mark;
	$first = $c->value('select pg_backend_pid()'); $t = time;
	$w->wait_log(qr/closing because: server lifetime over/, $mark);
	return time - $t;
}
1.5, 'server_lifetime closes an idle server';
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
