# worker_spread: few workers serve clients while that is enough, more when one is busy; and clients that move from one to another lose nothing, are found by
# everybody who looks for them, and are themselves in everything that counts.
use PgweirTest;
use Time::HiRes qw(time sleep);

my $pg = server(preload => '', conf => {max_connections => 60});
my $script = PgweirTest::new_dir('script') . '/count.sql';
my ($w, @c, %workers);

$pg->sql('create table counted (id int primary key, n int not null default 0)');
$pg->sql('insert into counted select generate_series(1, 40)');
write_file($script, "\\set i random(1, 40)\nupdate counted set n = n + 1 where id = :i;\n", 0644);

sub weir { my ($settings, %o) = @_; undef @c; $w->stop if $w; return $w = sidecar($pg, settings => {worker_threads => 4, worker_spread => 'roam', default_pool_size => 8, admission => 0, %$settings}, %o); }
sub workers { %workers = map { $_->{worker} => $_ } @{$w->console('show workers')}; return map { $workers{$_} } sort keys %workers; }
sub column { my ($name) = @_; return join ' ', map { $_->{$name} } workers(); }
sub totals { my ($row) = grep { $_->{database} eq 'postgres' } @{$w->console('show stats_totals')}; return $row->{xact_count}; }
sub moved { my $n = 0; $n += $_->{moved_out} for workers(); return $n; }
# A load in the background, and what is done until it ends: (exit code, output).
sub under_load
{
	my ($look, @args) = @_;
	unlink "$w->{dir}/load";
	my $pid = PgweirTest::spawn(['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', 'postgres', @args, 'postgres'], "$w->{dir}/load");
	my $status;

	until (defined($status = PgweirTest::reap($pid, 0))) { $look->(); sleep 0.02; }
	return ($status >> 8, slurp("$w->{dir}/load"));
}

# --- one thread ---
weir({worker_spread => 'roam', worker_threads => 1});
@c = map { $w->wire } 1 .. 4;
for my $turn (1 .. 5) { $_->value('select 1') for @c; }
is(column('state') . ' ' . column('clients') . ' ' . moved(), 'active 5 0', 'one thread has nobody to move');

# --- few ---
weir({worker_spread => 'auto'});
@c = map { $w->wire } 1 .. 8;
for my $turn (1 .. 20) { $_->value('select 1') for @c; }
is(column('state'), 'active resting resting resting', 'one worker serves');
is(column('clients'), '9 0 0 0', '... all clients, the console among them');
is(moved(), 0, '... who stay with it');
undef @c;

weir({worker_spread => 'even'});
@c = map { $w->wire } 1 .. 8;
for my $turn (1 .. 20) { $_->value('select 1') for @c; }
is(column('state'), 'active active active active', 'even: all serve');
is(column('clients'), '3 2 2 2', '... as many clients each');
is(moved(), 0, '... who stay where they are');

weir({worker_spread => 'auto', pool_mode => 'session'});
@c = map { $_->value('select 1'); $_ } map { $w->wire } 1 .. 8;
is(column('state'), 'active resting resting resting', 'session mode: one worker gets who logs in');
is(column('clients'), '3 2 2 2', '... but those that could not leave it later do so at once');
for my $turn (1 .. 20) { $_->value('select 1') for @c; }
is(moved(), 6, '... and then stay where they are');
undef @c;

# --- from one to another: nothing is lost, and all stays in order ---
for my $backend (grep { !$ENV{PGWEIR_TEST_BACKEND} || $_ eq $ENV{PGWEIR_TEST_BACKEND} } qw(epoll auto))
{
	weir({event_backend => $backend});
	@c = map { $w->wire } 1 .. 12;
	my $before = moved();
	my ($wrong, $lost) = ('', '');

	$c[$_]->ask("set datestyle = '" . ($_ % 2 ? 'German' : 'ISO, YMD') . "'; set application_name = 'app$_'") for 0 .. 11;
	for (0 .. 11)
	{
		$c[$_]->send(PgWire::parse('named', 'update counted set n = n + $1 where id = $2 returning n') . PgWire::sync());
		$wrong .= "parse $_; " if $c[$_]->until_ready->{error};
	}
	for my $turn (1 .. 25)
	{
		# an unnamed statement that is used in a later group, a named one, a transaction of several requests, and a pipeline
		$c[$_]->send(PgWire::parse('', "select 'unnamed $_ $turn'") . PgWire::sync()) for 0 .. 11;
		$wrong .= "unnamed $_; " for grep { $c[$_]->until_ready->{error} } 0 .. 11;
		$c[$_]->send(PgWire::bind_message('', '') . PgWire::execute('') . PgWire::sync()) for 0 .. 11;
		for (0 .. 11) { my $a = $c[$_]->until_ready; $wrong .= "unnamed $_ $turn: " . ($a->{rows}[0][0] // $a->{error}{M}) . '; ' if ($a->{rows}[0][0] // '') ne "unnamed $_ $turn"; }
		$c[$_]->send(PgWire::bind_message('', 'named', 1, $_ + 1) . PgWire::execute('') . PgWire::sync()) for 0 .. 11;
		for (0 .. 11) { my $a = $c[$_]->until_ready; $lost .= "$_: " . ($a->{rows}[0][0] // $a->{error}{M}) . "; " if ($a->{rows}[0][0] // 0) != $turn; }
		$c[$_]->send(PgWire::query("select current_setting('datestyle') || ' ' || current_setting('application_name')")) for 0 .. 11;
		for (0 .. 11) { my $a = $c[$_]->until_ready; $wrong .= "settings $_; " if $a->{rows}[0][0] ne ($_ % 2 ? 'German, DMY' : 'ISO, YMD') . " app$_"; }
		$c[$_]->send(join '', map { PgWire::query("select $_") } 1 .. 10) for 0 .. 11;
		for my $i (0 .. 11) { my $got = join ' ', map { $c[$i]->until_ready->{rows}[0][0] } 1 .. 10; $wrong .= "pipeline $i: $got; " if $got ne join ' ', 1 .. 10; }
	}
	is($wrong, '', "$backend: clients that move keep their statements, settings and the order of their requests");
	is($lost, '', '... and each transaction runs once');
	cmp_ok(moved() - $before, '>', 500, '... while they move all the time');
	is(join(' ', map { $_->{moved_in} > 100 ? 'in' : 'none' } workers()), 'in in in in', '... to each worker');
	is(column('state'), 'active active active active', '... who all serve');
	my %named = map { $_->{application_name} => 1 } @{$w->console('show clients')};
	is(join(' ', grep { !$named{"app$_"} } 0 .. 11), '', 'SHOW CLIENTS has each');
	# a message that comes in two pieces, and a result and a request that are larger than any buffer
	my $half = PgWire::query('select 11');
	$c[0]->send(PgWire::query('select 10') . substr $half, 0, 7);
	is($c[0]->until_ready->{rows}[0][0], 10, 'a request with half of the next');
	$c[0]->send(substr $half, 7);
	is($c[0]->until_ready->{rows}[0][0], 11, '... which comes along');
	is(length $c[$_]->value("select repeat('x', 300000)"), 300000, 'a large result') for 0, 1;
	is($c[$_]->value("select length('" . 'y' x 200000 . "')"), 200000, 'a large request') for 0, 1;
	my $shown = totals();
	$_->disconnect for @c;
	eventually { $w->pool('postgres', 'postgres')->{cl_active} == 0 && $w->console('show lists') && column('clients') eq '1 0 0 0' } 'all have left';
	is(totals(), $shown, 'what was counted with any worker stays');
	$pg->sql('update counted set n = 0');
}

# many at once, by programs that know nothing of it
weir({});
for my $protocol (qw(simple extended prepared))
{
	my $before = $pg->sql('select sum(n) from counted');
	my ($status, $out) = under_load(sub { }, '-M', $protocol, '-f', $script, '-c', 16, '-j', 2, '-t', 100);

	is($status, 0, "$protocol: a load whose clients move");
	is($pg->sql('select sum(n) from counted') - $before, 1600, '... runs each transaction once');
}
cmp_ok(moved(), '>', 2000, 'they have moved');
cmp_ok(totals(), '>=', 4800, 'all are counted');

# --- they are found by everybody ---
weir({max_client_conn => 1000});
@c = map { $w->wire } 1 .. 8;
for my $turn (1 .. 20)
{
	my $i = $turn % 8;

	$_->value('select 1') for @c;
	$c[$i]->send(PgWire::query("select pg_sleep(30) /* $turn */"));
	eventually { $pg->sql("select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep(30) /* $turn */'") == 1 } 'it runs';
	$c[$i]->cancel;
	my $code = $c[$i]->until_ready->{error}{C} // 'none';
	is($code, '57014', 'a cancel request finds who has moved') if $turn == 20 || $code ne '57014';
}
# those that come while it moves hit nobody else, and each of them hits once at most
my (%sent, %hit);
for my $turn (1 .. 60)
{
	$_->send(PgWire::query('select 2')) for @c;
	$sent{$turn % 4}++;
	$c[$turn % 4]->cancel;
	for my $i (0 .. 7) { $hit{$i}++ if $c[$i]->until_ready->{error}; }
}
is(join(' ', grep { $hit{$_} > ($sent{$_} // 0) } sort keys %hit), '', 'cancel requests for clients that move hit nobody else');
eventually { column('logins') eq '0 0 0 0' } 'the cancel requests are gone';

# each of more clients than are looked at in one go, always once; the ids of those that stay connected do not change
push @c, map { $w->wire } 1 .. 592;
my %ids = map { $_->{id} => 1 } grep { $_->{database} eq 'postgres' } @{$w->console('show clients')};
is(scalar(keys %ids), 600, '600 clients');
my ($bad, $looks, $had) = ('', 0, moved());
for my $turn (1 .. 10)
{
	my %seen;

	$_->send(PgWire::query('select 3')) for @c;
	$seen{$_->{id}}++ for grep { $_->{database} eq 'postgres' } @{$w->console('show clients')};
	$bad .= "$_ is missing; " for grep { !$seen{$_} } keys %ids;
	$bad .= "$_ is shown $seen{$_} times; " for grep { $seen{$_} > 1 } keys %seen;
	$looks++;
	$_->until_ready for @c;
	# nobody moves for a while after such a list, so once in a while nobody looks
	eventually { my $now = moved(); $_->value('select 4') for @c[0 .. 19]; moved() > $now } 'they move again' if $turn % 5 == 0;
}
is($bad, '', "SHOW CLIENTS has each once, at any of $looks times");
cmp_ok(moved(), '>', $had, '... while they move');
my ($victim) = grep { $_->{database} eq 'postgres' } @{$w->console('show clients')};
$w->console("kill_client $victim->{id}");
eventually { !grep { $_->{id} == $victim->{id} } @{$w->console('show clients')} } 'KILL_CLIENT finds it';
pass('KILL_CLIENT finds who has moved');
undef @c;

# --- what the console does, while they move ---
weir({});
my @commands = ('pause', 'resume', 'reload', 'reconnect', 'show clients', 'show sockets', 'show workers', 'suspend', 'show pools');
my ($turn, $failed, $total) = (0, '', $pg->sql('select sum(n) from counted'));
my ($status, $out, $processed) = (0, '', 0);
for (1 .. 20)
{
	($status, $out) = under_load(sub { my $command = $commands[$turn++ % @commands]; eval { $w->console($command); 1 } or $failed .= "$command: $@"; }, '-M', 'prepared', '-f', $script, '-c', 10, '-j', 2, '-T', 3);
	$processed += ($out =~ /actually processed: (\d+)/)[0] // 0;
	eval { $w->console('resume') };
	last if $status || $failed ne '' || $turn >= 2 * @commands;
}
is("$status$failed", '0', 'PAUSE, RESUME, SUSPEND, RELOAD, RECONNECT while clients move: none notices') or diag $out;
is($pg->sql('select sum(n) from counted') - $total, $processed, '... nor is anything lost');
cmp_ok($turn, '>=', 10, '... whichever command it is');

# a client that has moved ends by time as any other
weir({});
@c = map { $w->wire } 1 .. 4;
for my $n (1 .. 10) { $_->value('select 1') for @c; }
$w->set(client_idle_timeout => 1)->reload;
$_->send(PgWire::query('select 1')) for @c;
is(join(' ', map { my $c = $_; my $last; while (my $m = $c->next_message) { $last = PgWire::error_fields($m->{payload})->{M} if $m->{type} eq 'E'; } $last } @c), join(' ', ('client_idle_timeout') x 4), 'client_idle_timeout counts for who has moved');

# KILL and the end
weir({});
@c = map { $w->wire } 1 .. 8;
for my $n (1 .. 10) { $_->value('select 1') for @c; }
$w->console('kill postgres');
eventually { !grep { $_->{database} eq 'postgres' } @{$w->console('show clients')} } 'KILL ends all';
pass('KILL ends who has moved');
$w->console('resume postgres');
undef @c;
my $load = PgweirTest::spawn(['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', 'postgres', '-f', $script, '-c', 8, '-j', 2, '-t', 150, 'postgres'], "$w->{dir}/last");
eventually { moved() > 300 } 'they move';
$w->console('shutdown wait_for_clients');
is(PgweirTest::reap($load), 0, 'SHUTDOWN WAIT_FOR_CLIENTS waits for who moves');
is($w->wait_end, 0, '... and then it ends');
undef $w;
weir({});
$load = PgweirTest::spawn(['pgbench', '-n', '-h', $w->host, '-p', $w->port, '-U', 'postgres', '-f', $script, '-c', 8, '-j', 2, '-T', 60, 'postgres'], "$w->{dir}/cut");
eventually { moved() > 300 } 'they move';
is($w->stop('INT'), 0, 'SIGINT ends it while clients move');
kill 'INT', $load;
PgweirTest::reap($load);
undef $w;

# -R, while clients move
my $dir = PgweirTest::new_dir('u');
my $port = free_port();
my %settings = (unix_socket_dir => $dir, listen_port => $port);
weir(\%settings, port => $port);
$total = $pg->sql('select sum(n) from counted');
$load = PgweirTest::spawn(['pgbench', '-n', '-h', $dir, '-p', $port, '-U', 'postgres', '-f', $script, '-c', 8, '-j', 2, '-t', 300, 'postgres'], "$dir/load");
eventually { moved() > 300 } 'they move';
my $new = sidecar($pg, port => $port, settings => {%{$w->{settings}}, logfile => "$dir/log"}, args => ['-R'], start => 0);
$new->{log} = "$dir/log";
$new->{pid} = PgweirTest::spawn([PgweirTest::Sidecar::program(), '-R', $new->{file}], $new->{output});
$new->wait_log(qr/process up/);
is($new->wire->value('select 5'), 5, 'a new process takes over while clients move');
is(PgweirTest::reap($load), 0, '... and those of the old one go on') or diag slurp("$dir/load");
is($w->wait_end, 0, '... which ends with them');
is($pg->sql('select sum(n) from counted') - $total, 2400, '... after all they had to do');
$new->stop;
undef $w;

# --- with TLS ---
SKIP:
{
	my ($failed_openssl) = PgweirTest::run_program(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', "$dir/key", '-out', "$dir/crt", '-days', 30, '-subj', '/CN=localhost']);
	skip 'no certificate could be made', 2 if $failed_openssl;
	chmod 0600, "$dir/key";
	weir({client_tls_sslmode => 'allow', client_tls_key_file => "$dir/key", client_tls_cert_file => "$dir/crt"});
	$total = $pg->sql('select sum(n) from counted');
	local $ENV{PGSSLMODE} = 'require';
	($status, $out) = under_load(sub { }, '-M', 'prepared', '-f', $script, '-c', 8, '-j', 2, '-t', 100);
	is("$status " . ($pg->sql('select sum(n) from counted') - $total), '0 800', 'clients with TLS move, too') or diag $out;
	cmp_ok(moved(), '>', 500, '... all the time');
}

# --- another spread by RELOAD: who rests stays until he has spoken ---
weir({worker_spread => 'even', worker_threads => 2});
@c = map { $w->wire } 1 .. 8;
$w->set(worker_spread => 'auto')->reload;
eventually { $_->value('select 1') for @c[4 .. 7]; column('state') eq 'active resting' } 'one steps back';
eventually { $_->value('select 1') for @c[4 .. 7]; workers(); $workers{0}{clients} == 7 } 'who speaks goes to who is active';
is(moved(), 2, '... and who rests stays');
eventually { $_->value('select 1') for @c; column('clients') eq '9 0' } 'until he speaks';
is($w->wire->value('select 6'), 6, 'new clients are served');
undef @c;

# --- memory runs out where a client arrives ---
SKIP:
{
	skip 'a sanitizer wants to be loaded first', 6 if PgweirTest::is_sanitized();
	my $file = PgweirTest::new_dir('short') . '/now';

	weir({worker_spread => 'auto', worker_threads => 2}, under => ['env', "NO_MEMORY=$file", 'LD_PRELOAD=' . PgweirTest::preloaded('no_memory')]);
	@c = map { $w->wire } 1 .. 4;
	is(join(' ', map { $_->value('select 1') } @c), '1 1 1 1', 'clients of one worker');
	my $console = $w->wire(user => 'admin', dbname => 'pgbouncer');
	write_file($file, '');
	$w->set(worker_spread => 'roam')->reload;
	eventually { $_->value('select 5') == 5 or die 'a wrong answer' for @c; $console->ask('show workers')->{rows}[0][7] > 0 } 'they leave';
	is(join(' ', map { $_->value('select 2') } @c), '2 2 2 2', 'where another has no memory to take them in they are served all the same');
	# The memory comes back when all clients have, so that none is on its way then.
	becomes { join ' ', map { $_->[3] } @{$console->ask('show workers')->{rows}} } '5 0', '... by the one they come from';
	is($console->ask('show workers')->{rows}[1][6], 0, '... and which they had left');
	unlink $file;
	eventually { $_->value('select 3') for @c; workers(); $workers{1}{moved_in} > 0 } 'later they are taken in';
	is(join(' ', map { $_->value('select 4') } @c), '4 4 4 4', 'when there is memory again they go there');
	is($w->stop('INT'), 0, '... and nothing is left over');
	undef $w;
}

# --- many: a busy worker is relieved ---
# Messages that are read and dropped: the sidecar has most of the work, neither server nor client.
weir({worker_spread => 'auto', worker_threads => 2, default_pool_size => 8});
my $batch = PgWire::copy_data('') x 24000 . PgWire::query('');
my $pump = sub {
	for (@c) { syswrite($_->{socket}, $batch) == length $batch or die 'not all was sent'; }
	for (@c) { sysread($_->{socket}, my $answer, 100) == 11 or die 'not the answer to an empty query'; }
};
@c = map { $w->wire } 1 .. 8;
is(column('clients'), '9 0', 'all begin with one');
my ($began, $until) = (time, time + 15);
my ($ran_before) = split ' ', slurp('/proc/' . $w->pid . '/task/' . $w->pid . '/schedstat');
until (time > $until || (workers() && $workers{1}{state} eq 'active' && $workers{1}{moved_in} > 0)) { $pump->() for 1 .. 10; }
SKIP:
{
	my ($ran, $waited) = split ' ', slurp('/proc/' . $w->pid . '/task/' . $w->pid . '/schedstat');
	# those who load it may get too little of the processors, too
	my $busy = ($ran - $ran_before) / 1e9 / (time - $began);
	skip 'the machine is too busy to keep one thread busy', 4 if $workers{1}{state} ne 'active' && ($waited > 0.3 * $ran || $busy < 0.85);
	is(column('state'), 'active active', 'a second worker serves when one is busy');
	cmp_ok($workers{1}{moved_in}, '>', 0, '... clients move to it');
	eventually { $_->value('select 1') for @c; column('state') eq 'active resting' } 'it steps back';
	eventually { $_->value('select 1') for @c; column('clients') eq '9 0' } 'and its clients leave it';
	pass('later one is enough again');
	is(join(' ', map { $_->value('select 7') } @c), '7 7 7 7 7 7 7 7', '... and all of them are served');
}
undef @c;
is($w->stop('INT'), 0, 'it ends');
done_testing;
