# Counts outlive a restart; a damaged file is set aside; a reset can be of one statement, user or database.
use lib 'test/lib';
use PgweirTest;

my $pg = server(conf => {log_min_messages => 'log', 'pgweir.flush_interval' => '3600s'});
$pg->sql('create extension pgweir');
$pg->sql('create table kept (id int primary key, v text)');
sub calls { my ($pattern) = @_; return $pg->sql("select coalesce(sum(calls), 0) from pgweir.slow_queries where query ~ '$pattern' and query !~ 'pgweir'"); }
sub file { return "$pg->{data}/pg_stat/pgweir.stat"; }

# --- saved and loaded ---

$pg->sql(q{insert into kept values (1, 'a') /*application='shop'*/; select v from kept where id = 1; select v from kept where id = 1});
$pg->sql_error('select 1 / (id - 1) as failing from kept');
my $figures = q{select string_agg(concat_ws(' ', query, calls, rows, failed, total_ms, min_ms, max_ms, p50_ms, p99_ms, stddev_ms, plans, shared_blks_hit, wal_bytes, first_seen, last_seen, relations), E'\n'
	order by query collate "C") from pgweir.slow_queries where query ~ 'kept' and query !~ 'pgweir'};
my $before = $pg->sql($figures);
my $since = $pg->sql('select since from pgweir.info()');
like($before, qr/insert into kept.*select v from kept/s, 'there is something to keep');
$pg->restart;
is($pg->sql($figures), $before, 'after a restart all figures are what they were');
is($pg->sql('select since from pgweir.info()'), $since, 'they count since the same reset');
is($pg->sql(q{select tags from pgweir.slow_queries_by_caller where query ~ '^insert into kept'}), '{"application": "shop"}', 'callers, too');
cmp_ok($pg->sql(q{select count(*) from pgweir.plan_history where query ~ 'kept' and plan <> ''}), '>=', 2, 'and plans');
ok(!-e file(), 'the file is gone once it is loaded');
$pg->sql('select v from kept where id = 1');
is(calls('^select v from kept'), 3, 'counting goes on');

# --- a backend that is killed loses what it had not merged, at most; the others nothing ---

my ($victim, $bystander) = ($pg->psql_session, $pg->psql_session);
$victim->query('select count(*) as of_victim from kept') for 1 .. 3;
$bystander->query('select count(*) as of_bystander, 1 from kept') for 1 .. 5;
$before = $pg->sql($figures =~ s/'kept'/'kept' and query !~ 'of_'/r);
cmp_ok($pg->sql('select unmerged from pgweir.info()'), '>=', 2, 'both have counts that are not merged');
kill 'KILL', $victim->query('select pg_backend_pid()');
eventually { eval { $pg->sql('values (1)') } && $pg->log =~ /was terminated by signal 9.*ready to accept connections/s } 'the server to come back';
is($pg->sql($figures =~ s/'kept'/'kept' and query !~ 'of_'/r), $before, 'after the kill of a backend all merged figures are what they were');
is(calls('of_bystander'), 5, 'with what another backend had not merged');
cmp_ok(calls('of_victim'), '<=', 3, 'and at most what the killed one had');
cmp_ok($pg->sql(q{select count(*) from pgweir.plan_history where query ~ 'kept' and plan <> ''}), '>=', 2, 'plans, too');
$pg->sql('select v from kept where id = 1');
is(calls('^select v from kept'), 4, 'counting goes on');

# --- smaller memory ---

$pg->sql('select ' . join(', ', (1) x $_) . ' /* kept */') for 1 .. 40;
$pg->stop;
$pg->append_conf({'pgweir.query_size' => 128, 'pgweir.max_plans' => 0, 'pgweir.max_callers' => 1});
$pg->start;
is($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ '^select \$1(,|$| /)' and length(query) < 128 and query !~ 'failing'}), 40, 'a smaller text size cuts the texts');

# --- damage ---

# The checksum of such a file.
sub crc32c
{
	my ($data) = @_;
	my @table = map { my $c = $_; $c = $c & 1 ? $c >> 1 ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
	my $crc = 0xFFFFFFFF;

	$crc = $table[($crc ^ $_) & 0xFF] ^ $crc >> 8 for unpack 'C*', $data;
	return $crc ^ 0xFFFFFFFF;
}

# A file with another number at a place of its head, and all else as it should be.
sub with_number { my ($b, $at, $n) = @_; substr($b, $at, 4) = pack 'V', $n; my $data = substr $b, 0, -4; return $data . pack 'V', crc32c($data); }

for my $case (
	['a flipped bit', sub { my ($b) = @_; substr($b, length($b) / 2, 1) ^= "\x40"; return $b; }, qr/its checksum is wrong/],
	['a missing end', sub { my ($b) = @_; return substr($b, 0, length($b) / 2); }, qr/its checksum is wrong/],
	['nothing in it', sub { return ''; }, qr/it is too short/],
	['a file of another major version, whose query ids are others', sub { return with_number($_[0], 12, 1300); }, qr/it is of another major version of the server/],
	['a file of another format', sub { return with_number($_[0], 8, 99); }, qr/it is of another version of pgweir/],
	['more said than there is', sub { return with_number($_[0], 28, 100000); }, qr/a statement in it is not complete/],
	['something else', sub { return "hello world\n" x 100; }, qr/its checksum is wrong/])
{
	my ($name, $damage, $message) = @$case;

	$pg->sql('select 42 as of_damage');
	unlink file() . '.damaged';
	$pg->stop;
	PgweirTest::write_file(file(), $damage->(PgweirTest::slurp(file())));
	$pg->start;
	like($pg->log, qr/pgweir begins with empty statistics: file "pg_stat\/pgweir.stat" cannot be used, .*\n/, "$name: the log says so");
	like(($pg->log =~ /.*(cannot be used, .*?)\n.*\z/s)[0], $message, "$name: and why");
	is(calls('of_damage'), 0, "$name: counting begins anew");
	ok(-e file() . '.damaged', "$name: the file is set aside");
}

# --- switched off ---

$pg->sql('alter system set pgweir.save = off');
$pg->reload;
eventually { $pg->sql('show pgweir.save') eq 'off' } 'the setting';
$pg->sql('select 1 as of_unsaved');
$pg->restart;
is(calls('of_unsaved'), 0, 'pgweir.save = off saves nothing');

# --- resets of a part, while another session holds counts that are not merged ---

$pg->sql('create database other');
$pg->sql('create role worker login');
my %more = (a => '', b => ' where 1 = 1', c => ' where 1 = 1 and 2 = 2');	# names alone make no class
my %session = (a => $pg->psql_session, b => $pg->psql_session(dbname => 'other'), c => $pg->psql_session(user => 'worker'));
for my $name (sort keys %session) { $session{$name}->query("select 1 as of_part, $name from (values (1)) v($name)" . $more{$name}) for 1 .. 3; $session{$name}->query("select 2 as of_rest, 3, $name from (values (1)) v($name)"); }
my $part = sub { return join ' ', map { $pg->sql("select coalesce(sum(calls), 0) from pgweir.slow_queries where query ~ '$_' and query !~ 'pgweir'") } 'of_part, a', 'of_part, b', 'of_part, c', 'of_rest'; };
is($part->(), '3 3 3 3', 'three sessions, counted');
my $id = $pg->sql(q{select queryid from pgweir.slow_queries where query ~ 'of_part, a'});
$pg->sql("select pgweir.reset(null, null, $id)");
is($part->(), '0 3 3 3', 'one statement is forgotten');
$pg->sql(q{select pgweir.reset(0, (select oid from pg_database where datname = 'other'))});
is($part->(), '0 0 3 2', 'one database is forgotten');
$pg->sql(q{select pgweir.reset('worker'::regrole)});
is($part->(), '0 0 0 1', 'one user is forgotten');
$session{a}->query('select 1 as of_part, a from (values (1)) v(a)');
$_->query('select 1 as tick') for values %session;
$pg->sql('alter role worker set work_mem = 100');
for my $name (sort keys %session) { $session{$name}->query('select count(*) from (values (1)) v'); }
is($part->(), '1 0 0 1', 'what was void stays so when its session goes on');

# --- samples and history go with their class ---

$session{a}->query('set pgweir.slow_threshold = 0; select 1 as of_part, a from (values (1)) v(a)');
$session{c}->query('select 1 as of_part, c from (values (1)) v(c) where 1 = 1 and 2 = 2');
is($pg->sql('select pgweir.snapshot()'), 't', 'a step of the history');
my $kept = sub { return join ' ', map { $pg->sql("select count(*) from $_") } q{pgweir.slow_samples where query ~ 'of_part, a'}, map { "pgweir.slow_queries_between(null, null) where query ~ 'of_part, $_'" } 'a', 'c'; };
is($kept->(), '1 1 1', 'a sample and steps of two classes');
$pg->sql("select pgweir.reset(null, null, $id)");
$session{a}->query('set pgweir.slow_threshold = -1; select 1 as of_part, a from (values (1)) v(a)');
is($kept->(), '0 0 1', 'a reset forgets those of its class');
is($pg->sql('select pgweir.snapshot()'), 't', 'a step after it');
is($pg->sql(q{select calls from pgweir.slow_queries_between(null, null) where query ~ 'of_part, a'}), 1, 'has what came after it');
$pg->sql("select pgweir.reset(null, null, $id)");
$_->quit for values %session;
eventually { $pg->sql(q{select count(*) from pg_stat_activity where backend_type = 'client backend'}) == 1 } 'the sessions to end';
is($part->(), '0 0 1 1', 'and when it ends');
like($pg->sql_error('select pgweir.reset(1::oid)', user => 'worker'), qr/permission denied/, 'not everybody may reset');
unlike($pg->log, qr/PANIC|was terminated by signal (?!9\b)|TRAP/, "no crash but the one we made");

# --- more memory than there is ---

$pg->stop;
$pg->append_conf({'pgweir.max_statements' => 1000000, 'pgweir.query_size' => '1MB'});
ok(!eval { $pg->start; 1 }, 'a store larger than the memory keeps the server from starting');
like($pg->log, qr/FATAL:  pgweir would need \d+ MB of shared memory, and the machine has \d+ MB\n.*DETAIL:  Statements take \d+ MB.*\n.*HINT:  Reduce pgweir.max_statements \(now 1000000\)/, 'with an error that says what to reduce');
done_testing;
