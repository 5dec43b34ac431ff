# Settings whose effect no other test looks at; test/settings.txt says which test looks at which.
use PgweirTest;
use Time::HiRes 'sleep';

my $pg = server(preload => '');
$pg->sql('create role app login superuser; create database latin encoding latin1 template template0');
my $w = sidecar($pg, settings => {default_pool_size => 2}, auth => {postgres => '', app => ''},
	databases => {postgres => '', one => 'dbname=postgres pool_size=1', latin => '', shaped => 'dbname=latin client_encoding=LATIN1 datestyle=German timezone=Asia/Tokyo application_name=weir'});
my ($c, $d, $mark);

sub settings { my (%s) = @_; $w->set(%s)->reload; $mark = $w->log_mark; return; }
sub said { my ($pattern) = @_; return $w->log_since($mark) =~ $pattern ? 1 : 0; }
sub refused { my (%o) = @_; return ($w->wire(may_fail => 1, %o)->{failed} // {M => ''})->{M}; }

# --- log_connections, log_disconnections, log_pooler_errors, log_stats ---
sub comes_and_goes { $w->wire->disconnect; refused(params => {nonsense => 1}); return $w->console('show version'); }
settings(stats_period => 1);
comes_and_goes();
ok($w->wait_log(qr/postgres\/postgres\S+ login attempt/, $mark), 'log_connections');
ok($w->wait_log(qr/postgres\/postgres\S+ closing because: client close request/, $mark), 'log_disconnections');
ok($w->wait_log(qr/pooler error: unsupported startup parameter: nonsense/, $mark), 'log_pooler_errors');
$w->wait_log(qr/LOG stats: \d+ xacts\/s, \d+ queries\/s, \d+ client parses\/s, \d+ server parses\/s, \d+ binds\/s, \d+ client logins\/s, in \d+ B\/s, out \d+ B\/s, xact \d+ us, query \d+ us, wait \d+ us$/m, $mark);
pass('log_stats: a line each stats_period');
settings(log_connections => 0, log_disconnections => 0, log_pooler_errors => 0, log_stats => 0);
comes_and_goes();
sleep 1.2;
is(join(' ', map { said($_) } qr/login attempt/, qr/postgres\S+ closing because: client close request/, qr/pooler error/, qr/LOG stats/), '0 0 0 0', '... and none of them without');
settings(map { $_ => undef } qw(stats_period log_connections log_disconnections log_pooler_errors log_stats));

# --- verbose ---
settings(verbose => 2);
$w->wire->value('select 1');
ok(said(qr/ DEBUG /), 'verbose');
settings(verbose => 0);
$w->wire->value('select 1');
ok(!said(qr/ DEBUG /), '... not without');

# --- admin_users ---
is(refused(user => 'app', database => 'pgbouncer'), 'not allowed', 'the console is for admin_users');
settings(admin_users => 'admin, app');
is(refused(user => 'app', database => 'pgbouncer'), '', '... who may be several');

# --- conffile ---
my $other = "$w->{dir}/other.ini";
write_file($other, slurp($w->{file}) =~ s/^default_pool_size = .*$/default_pool_size = 9/mr);
$w->console("set conffile = '$other'");
$w->console('reload');
is((grep { $_->{key} eq 'default_pool_size' } @{$w->console('show config')})[0]{value}, 9, 'conffile is the file that RELOAD reads');
write_file($other, slurp($other) . "conffile = $w->{file}\n");
$w->console('reload') for 1, 2;
is((grep { $_->{key} eq 'default_pool_size' } @{$w->console('show config')})[0]{value}, 2, '... and may name the next');

# --- client_encoding, datestyle, timezone, application_name of a database ---
$c = $w->wire(database => 'shaped');
is(join(' ', map { $c->value("show $_") } qw(client_encoding datestyle timezone application_name)), 'LATIN1 German, DMY Asia/Tokyo weir', "a database's client_encoding, datestyle, timezone, application_name are sent to its server");
is($c->{params}{TimeZone}, 'Asia/Tokyo', '... and told to its clients');
is($w->wire(database => 'shaped', params => {timezone => 'UTC'})->value('show timezone'), 'UTC', "... but a client's own word counts");

# --- max_waiting_clients ---
settings(max_waiting_clients => 1);
my @c = map { $w->wire(database => 'one') } 1 .. 3;
$c[0]->ask('begin');
$c[1]->send(PgWire::query('select 1'));
eventually { $w->pool('one', 'postgres')->{cl_waiting} == 1 } 'one waits';
my $a = $c[2]->ask('select 2');
is("$a->{error}{S} $a->{error}{C} $a->{status}", 'ERROR 53300 I', 'max_waiting_clients: the next is refused, and keeps its session');
$c[0]->ask('commit');
is($c[1]->until_ready->{rows}[0][0] . $c[2]->value('select 2'), '12', '... who waited is served');
settings(max_waiting_clients => 0);

# --- user of [limits] ---
$w->{ini} = "[limits]\nmine = user=app max_active=1\n";
settings();
@c = map { $w->wire(user => $_) } qw(app app postgres);
$c[0]->ask('begin');
$c[1]->send(PgWire::query('select 3'));
eventually { $w->pool('postgres', 'app')->{cl_waiting} == 1 } 'one waits';
is($c[2]->value('select 4'), 4, 'user of [limits]: others do not wait with it');
$c[0]->ask('commit');
is($c[1]->until_ready->{rows}[0][0], 3, '... and it waits for its own');
$w->{ini} = '';
settings();

# --- cancel_on_disconnect ---
for my $on (1, 0)
{
	settings(cancel_on_disconnect => $on);
	$c = $w->wire;
	my $pid = $c->value('select pg_backend_pid()');
	$c->send(PgWire::query("select pg_sleep(300$on)"));
	eventually { $pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(300$on)' and state = 'active'") } 'it runs';
	$c->vanish;
	if ($on)
	{
		eventually { !$pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(300$on)' and state = 'active'") } 'it is cancelled';
		eventually { my $p = $w->pool('postgres', 'postgres'); $p->{sv_idle} && !grep { $p->{$_} } qw(sv_active sv_active_cancel sv_being_canceled sv_used sv_tested) } 'its server is at rest';
		is($w->wire->value('select pg_backend_pid()'), $pid, 'cancel_on_disconnect: the statement of a client that has gone is cancelled, its server goes on');
	}
	else
	{
		$w->wait_log(qr/closing because: client disconnect while server was not ready/, $mark);
		is($pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(300$on)' and state = 'active'"), 1, '... without it the server is left to itself');
		$pg->sql("select pg_terminate_backend($pid)");
	}
}
settings(cancel_on_disconnect => undef);

# --- server_fast_close ---
for my $fast (0, 1)
{
	settings(pool_mode => 'session', server_fast_close => $fast);
	($c, $d) = ($w->wire, $w->wire);
	my ($pid, $pid_d) = map { $_->value('select pg_backend_pid()') } $c, $d;
	$d->ask('begin');
	$w->console('reconnect');
	if ($fast)
	{
		is($c->until_ready->{error}{M}, 'database configuration changed', 'server_fast_close: a session whose server must go ends');
		is($d->value('select pg_backend_pid()'), $pid_d, '... not within a transaction');
		is($d->ask('commit')->{tags}[0], 'COMMIT', '... which ends well');
		is($d->until_ready->{error}{M}, 'database configuration changed', '... and then the session too');
	}
	else
	{
		is($c->value('select pg_backend_pid()'), $pid, 'without server_fast_close a session keeps a server that must go');
		$d->ask('commit');
		$_->disconnect for $c, $d;
		eventually { !$pg->sql("select count(*) from pg_stat_activity where pid in ($pid, $pid_d)") } 'they close';
		pass('... until it ends');
	}
}
settings(pool_mode => 'transaction', server_fast_close => undef);

# --- SUSPEND under load ---
{
	my $output = "$w->{dir}/pgbench";
	my $enough = "$w->{dir}/enough";
	my @pgbench = ('pgbench', '-n', '-h', '127.0.0.1', '-p', $w->port, '-U', 'postgres', '-c', 8, '-T', 1, '-f', "$w->{dir}/q.sql", 'postgres');
	my @command = ('sh', '-c', 'while [ ! -e "$0" ]; do "$@" || exit; done', $enough, @pgbench);

	write_file("$w->{dir}/q.sql", "begin;\nselect 1;\ncommit;\n");
	my $pid = PgweirTest::spawn(\@command, $output);
	my $admin = $w->wire(user => 'admin', database => 'pgbouncer'); # during SUSPEND nobody else can come in
	my $done = sub { (grep { $_->[0] eq 'postgres' } @{$admin->ask('show stats_totals')->{rows}})[0][2] };
	my $before = $done->();
	eventually { $done->() > $before + 100 } 'load';
	for (1 .. 3)
	{
		is("@{$admin->ask('suspend')->{tags}}", 'SUSPEND', "SUSPEND under load, round $_");
		$before = $done->();
		sleep 0.2;
		is($done->(), $before, '... nothing goes on');
		is("@{$admin->ask('resume')->{tags}}", 'RESUME', '... RESUME');
		eventually { $done->() > $before } 'it goes on';
	}
	write_file($enough, '');
	is(PgweirTest::reap($pid), 0, '... and no client has noticed more than a pause') or diag slurp($output);
}

# --- scram_iterations ---
settings(auth_type => 'scram-sha-256', scram_iterations => 5432);
$w->set_auth(postgres => '', app => 'secret');
$w->set; $w->signal('HUP');
sub first_message
{
	$c = PgWire->open_socket(port => $w->port);
	$c->send(PgWire::startup(user => 'app', database => 'postgres'));
	my $m = $c->next_message;
	my $first = 'n,,n=,r=abcdefghijklmnop';
	$c->send(PgWire::message('p', "SCRAM-SHA-256\0" . pack('N', length $first) . $first));
	$m = $c->next_message;
	return $m->{payload};
}
like(eventually { my $m = first_message(); $m =~ /i=5432$/ && $m }, qr/i=5432$/, 'scram_iterations are those of secrets made from a plain password');

# --- listen_backlog, tcp_keepalive, tcp_keepidle, tcp_socket_buffer: what the kernel says ---
$w->stop;
my $port = free_port();
$w = sidecar($pg, port => $port, settings => {listen_port => $port, listen_backlog => 77, tcp_keepidle => 333, tcp_socket_buffer => 60000});
SKIP: {
	skip 'no ss', 3 unless grep { -x "$_/ss" } split /:/, $ENV{PATH} . ':/usr/bin:/usr/sbin:/bin:/sbin';
	sub ss { my ($out) = (run_program(['ss', '-H', '-n', '-t', @_, "( sport = :$port )"]))[1]; return $out; }
	like(ss('-l'), qr/^LISTEN\s+\d+\s+77\s/m, 'listen_backlog');
	$c = $w->wire;
	eventually { ss('-o', 'state', 'established') =~ /timer:\(keepalive/ } 'what was sent to be acknowledged';
	like(ss('-o', 'state', 'established'), qr/timer:\(keepalive,[345]min/, 'tcp_keepalive with tcp_keepidle');
	like(ss('-m', 'state', 'established'), qr/rb120000,.*tb120000/, 'tcp_socket_buffer, which the kernel doubles');
}

# --- worker_threads ---
# (the first worker is the main thread; libraries and sanitizers have threads of their own)
sub workers { my ($v) = @_; return 1 + grep { slurp($_) =~ /^pgweir:worker/ } glob '/proc/' . $v->pid . '/task/*/comm'; }
for my $n (1, 3)
{
	my $v = sidecar($pg, settings => {worker_threads => $n, worker_spread => $ENV{PGWEIR_TEST_SPREAD} || 'even'});
	my @c = map { $v->wire } 1 .. 6;
	is(join('', map { $_->value('select 5') } @c), '555555', "worker_threads = $n: clients are served");
	becomes { workers($v) } $n, '... by so many threads';
	$v->stop;
}
{
	delete local $ENV{PGWEIR_TEST_WORKERS};
	chomp(my $cores = (run_program(['nproc']))[1]);
	my $v = sidecar($pg);
	my $expected = $cores > 8 ? 8 : $cores;
	becomes { workers($v) } $expected, 'by default it has a thread a core, eight at most';
	ok($v->wait_log(qr/process up: .*, worker threads: $expected$/m), '... and says how many');
	$v->stop;
	my ($first) = slurp('/proc/self/status') =~ /^Cpus_allowed_list:\s+(\d+)/m;
	$v = sidecar($pg, under => ['taskset', '-c', $first]);
	$v->wait_log(qr/process up: .*, worker threads: 1$/m);
	is(workers($v), 1, '... of those that it may use');
	$v->stop;
}

# --- syslog, syslog_ident, syslog_facility: with a syslog() of our own ---
SKIP: {
	skip 'a sanitizer wants to be loaded first', 3 if PgweirTest::is_sanitized();
	my $shim = "$ENV{PGWEIR_TMP}/syslog.so";
	my $heard = "$ENV{PGWEIR_TMP}/syslog.txt";
	write_file("$shim.c", <<"	C");
		#include <stdarg.h>
		#include <stdio.h>
		static const char *name = "?";
		static int where;
		void openlog(const char *ident, int option, int facility) { (void) option; name = ident; where = facility; }
		static void put(int priority, const char *format, va_list args)
		{ FILE *f = fopen("$heard", "a"); fprintf(f, "%s %d %d ", name, where | (priority & ~7), priority & 7); vfprintf(f, format, args); fputc('\\n', f); fclose(f); }
		void syslog(int priority, const char *format, ...) { va_list a; va_start(a, format); put(priority, format, a); va_end(a); }
		void __syslog_chk(int priority, int flag, const char *format, ...) { va_list a; (void) flag; va_start(a, format); put(priority, format, a); va_end(a); }
	C
	my ($status, undef, $err) = run_program([$ENV{CC} // 'cc', '-shared', '-fPIC', '-fno-builtin', '-o', $shim, "$shim.c"]);
	skip "no compiler: $err", 3 if $status;
	local $ENV{LD_PRELOAD} = $shim;
	my $v = sidecar($pg, settings => {syslog => 1, syslog_ident => 'weir-a', syslog_facility => 'local3'});
	delete $ENV{LD_PRELOAD};
	eventually { slurp($heard) =~ /process up/ } 'a line';
	like(slurp($heard), qr/^weir-a @{[19 << 3]} 6 .*process up/m, 'syslog with syslog_ident and syslog_facility');
	$v->set(syslog_ident => 'weir-b', syslog_facility => 'daemon')->reload;
	$v->wire->disconnect;
	eventually { slurp($heard) =~ /^weir-b/m } 'another name';
	like(slurp($heard), qr/^weir-b @{[3 << 3]} /m, '... changed by RELOAD');
	$v->set(syslog => 0)->reload;
	my $size = -s $heard;
	$v->wire->disconnect;
	$v->console('show version');
	is(-s $heard, $size, '... and ended by it');
}
is($w->complaints, '', 'no complaints of sanitizers');
done_testing;
