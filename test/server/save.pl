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

# --- not after a crash ---

my $victim = $pg->psql_session;
kill 'KILL', $victim->query('select pg_backend_pid()');
eventually { (eval { $pg->sql(q{select count(*) from pgweir.slow_queries where query ~ 'kept' and query !~ 'pgweir'}) } // 1) == 0 } 'the server to come back with nothing counted', 60;
pass('after a crash counting begins anew');

# --- smaller memory ---

$pg->sql('select ' . join(', ', (1) x $_) . ' /* kept */') for 1 .. 40;
$pg->stop;
$pg->append_conf({'pgweir.query_size' => 128, 'pgweir.max_plans' => 0, 'pgweir.max_callers' => 1});
$pg->start;
is($pg->sql(q{select count(*) from pgweir.slow_queries where query ~ '^select \$1(,|$| /)' and length(query) < 128}), 40, 'a smaller text size cuts the texts');

# --- damage ---

for my $case (
	['a flipped bit', sub { my ($b) = @_; substr($b, length($b) / 2, 1) ^= "\x40"; return $b; }, qr/its checksum is wrong/],
	['a missing end', sub { my ($b) = @_; return substr($b, 0, length($b) / 2); }, qr/its checksum is wrong/],
	['nothing in it', sub { return ''; }, qr/it is too short/],
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
$_->quit for values %session;
eventually { $pg->sql(q{select count(*) from pg_stat_activity where backend_type = 'client backend'}) == 1 } 'the sessions to end';
is($part->(), '1 0 0 1', 'and when it ends');
like($pg->sql_error('select pgweir.reset(1::oid)', user => 'worker'), qr/permission denied/, 'not everybody may reset');
unlike($pg->log, qr/PANIC|was terminated by signal (?!9\b)|TRAP/, "no crash but the one we made");
done_testing;
