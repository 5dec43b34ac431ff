# Replication connections: physical and logical, streaming both ways, one server each, never pooled.
use PgweirTest;

my $pg = server(preload => '', conf => {wal_level => 'logical', max_wal_senders => 6, max_connections => 20},
	hba => ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']);
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2, query_timeout => 2, transaction_timeout => 2, query_deadline => 2, admission => 0});
my $dir = PgweirTest::new_dir('r');
my ($status, $out, $err);

sub tool { my ($name, @args) = @_; return run_program([$name, '-h', '127.0.0.1', '-p', $w->port, '-U', 'postgres', @args]); }
sub servers { return $pg->sql("select count(*) from pg_stat_activity where backend_type = 'walsender'"); }

$pg->sql('create table t as select g, repeat(md5(g::text), 20) from generate_series(1, 5000) g');

# --- a base backup, with the WAL streamed on a second connection ---
($status, $out, $err) = tool('pg_basebackup', '-D', "$dir/base", '-X', 'stream', '-c', 'fast', '--no-sync');
is($status, 0, 'pg_basebackup copies a server through the sidecar') or diag $err;
ok(-e "$dir/base/PG_VERSION", '... with its files');
($status, $out, $err) = run_program(['pg_verifybackup', "$dir/base"]);
is($status, 0, '... and pg_verifybackup finds them all right') or diag "$out$err";

# --- a WAL stream ---
mkdir "$dir/wal";
($status, $out, $err) = tool('pg_receivewal', '--slot', 'weir', '--create-slot');
is($status, 0, 'pg_receivewal makes a slot') or diag $err;
my $pid = PgweirTest::spawn(['pg_receivewal', '-h', '127.0.0.1', '-p', $w->port, '-U', 'postgres', '-D', "$dir/wal", '--slot', 'weir', '--status-interval=1', '--no-loop'], "$dir/receive.out");
eventually { $pg->sql("select active from pg_replication_slots where slot_name = 'weir'") eq 't' } 'the stream runs';
$pg->sql('insert into t select g, md5(g::text) from generate_series(1, 1000) g; select pg_switch_wal()');
eventually { $pg->sql("select count(*) from pg_replication_slots where slot_name = 'weir' and restart_lsn >= (select pg_current_wal_lsn() - 16 * 1024 * 1024::numeric)") eq '1' } 'feedback arrives';
sleep 3;
is($pg->sql("select active from pg_replication_slots where slot_name = 'weir'"), 't', 'no time limit of queries ends a stream');
my ($client) = grep { $_->{replication} ne 'none' } @{$w->console('show clients')};
is("$client->{replication} $client->{state}", 'physical active', 'SHOW CLIENTS tells what it is');
my ($server) = grep { $_->{replication} ne 'none' } @{$w->console('show servers')};
is($server->{replication}, 'physical', 'SHOW SERVERS too');
my ($row, @more) = grep { $_->{user} eq 'postgres' && $_->{database} eq 'replication' } @{$w->console('show pools')};
is("$row->{cl_active} $row->{sv_active} @more", '1 1 ', 'it counts in the row of its database and user in SHOW POOLS');
kill 'INT', $pid;
is(PgweirTest::reap($pid), 0, 'pg_receivewal ends in good order');
ok((grep { -s $_ } glob "$dir/wal/0*"), '... and has the WAL');
eventually { servers() == 0 } 'the walsender has gone';
pass('the server connection is not kept');
becomes { scalar grep { $_->{replication} ne 'none' } @{$w->console('show servers')} } 0, 'nor shown';

$w->set(query_timeout => undef, transaction_timeout => undef, query_deadline => undef)->reload; # for clients that pause with this machine

# --- logical: SQL and a stream on one connection ---
my $c = $w->wire(params => {replication => 'database', application_name => 'decoder', options => '-c datestyle=German -c work_mem=3MB'});
is($c->value('show work_mem'), '3MB', 'a logical connection gets its options as they are');
is($c->value('select application_name from pg_stat_activity where pid = pg_backend_pid()'), 'decoder', '... and its name');
my $backend = $c->value('select pg_backend_pid()');
my $x = $w->wire;
$x->value('select 1') for 1 .. 3;
is($c->value('select pg_backend_pid()'), $backend, '... and keeps its backend in transaction mode');
isnt($x->value('select pg_backend_pid()'), $backend, '... which nobody else gets');
is($c->ask('IDENTIFY_SYSTEM')->{rows}[0][3], 'postgres', 'replication commands pass');
is($c->ask('CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding')->{error}, undef, '... CREATE_REPLICATION_SLOT');
$c->send(PgWire::query('START_REPLICATION SLOT s LOGICAL 0/0'));
is($c->next_message->{type}, 'W', 'CopyBothResponse arrives');
$pg->sql("create table u(a int); insert into u values (4711)");
my $seen = '';
eventually { my $m = $c->next_message; $seen .= $m->{payload} if $m->{type} eq 'd'; $seen =~ /4711/ } 'the change is streamed';
$c->send(PgWire::copy_data('r' . pack('Q>Q>Q>Q>C', 0, 0, 0, 0, 1)), PgWire::copy_done());
my $a = $c->until_ready;
is($a->{status}, 'I', 'the stream ends when the client says so, and the session goes on');
is($c->value('select 1'), 1, '... with SQL');

# --- cancel, errors, limits ---
$c->send(PgWire::query('select pg_sleep(3000)'));
eventually { $pg->sql("select count(*) from pg_stat_activity where query like '%pg_sleep(3000)%' and pid = $backend and state = 'active'") } 'it runs';
$c->cancel;
is($c->until_ready->{error}{C}, '57014', 'a cancel request finds the walsender');
$c->vanish;
eventually { servers() == 0 } 'the walsender of a vanished client goes';
is($w->wire(params => {replication => 'maybe'}, may_fail => 1)->{failed}{C}, '22023', 'a strange value is refused');
is($w->wire(params => {replication => 'off'})->value('select 1'), 1, 'replication=off is an ordinary client');
$w->set(max_db_connections => 1)->reload;
$c = $w->wire(params => {replication => 'database'});
is($c->value('select 2'), 2, 'an idle server gives way to a replication connection (max_db_connections)');
$w->set(query_deadline => 2)->reload;
is($x->ask('select 1')->{error}{C}, '57014', '... which keeps its place');
$w->set(query_deadline => undef)->reload;
$c->disconnect;
is($w->wire->value('select 3'), 3, '... until it leaves');
$pg->append_conf({max_wal_senders => 0, wal_level => 'replica'});
$pg->sql("select pg_drop_replication_slot('weir')");
$pg->append_conf({wal_level => 'minimal'});
$pg->restart;
my $refused = $w->wire(params => {replication => 'true'}, may_fail => 1)->{failed};
isnt($refused->{M}, undef, "a refused login ends the client with the server's words: $refused->{M}");
becomes { scalar grep { $_->{replication} ne 'none' } @{$w->console('show clients')} } 0, 'nothing is left of it';
done_testing;
