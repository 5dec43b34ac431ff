# Reports: who may send them, that silent reporters go, that their place is used again, and that they arrive at login.
use lib 'test/lib';
use PgweirTest;
use Time::HiRes 'sleep';

my $pg = server(conf => {'pgweir.max_reporters' => 2});
# Only where something is to expire may a machine that stops for a moment let it.
sub expire_after { $pg->sql("alter system set pgweir.report_expiry = '$_[0]'"); $pg->sql('select pg_reload_conf()'); return; }
expire_after('1h');
$pg->sql('create extension pgweir; create role sidecar login; create role app login');
my $report = q{'{"pools": [{"db": "shop", "user": "app", "size": 3}]}'};

like($pg->sql_error("select pgweir.report('one', 1, $report)", user => 'sidecar'), qr/42501/, 'a role without the right may not report');
$pg->sql('grant execute on function pgweir.report(text, int, jsonb) to sidecar');
$pg->sql("select pgweir.report('one', 1, $report)", user => 'sidecar');
is($pg->sql('select count(*) from pgweir.pools()'), 1, 'one that was given it may');
$pg->sql("select pgweir.report('two', 1, $report)");
like($pg->sql_error("select pgweir.report('three', 1, $report)"), qr/53400: too many reporters.*HINT:.*pgweir.max_reporters/s, 'the number of reporters is bounded');

expire_after('1s');
eventually { $pg->sql('select count(*) from pgweir.pools()') == 0 } 'silent reporters to go';
pass('a silent reporter is no longer shown');
is($pg->sql('select count(*) from pgweir.reporters()'), 0, 'nor listed');
$pg->sql("select pgweir.report('three', 1, $report)");
expire_after('1h');
is($pg->sql(q{select string_agg(reporter, ' ' order by reporter) from pgweir.reporters()}), 'three two', 'its place is used again');

# a pool that its reporter no longer names goes, too
expire_after('1s');
$pg->sql(q{select pgweir.report('three', 1, '{"pools": [{"db": "other", "user": "app"}]}')});
eventually {
	$pg->sql(q{select pgweir.report('three', 1, '{"pools": [{"db": "other", "user": "app"}]}')});
	$pg->sql(q{select string_agg(database, ' ') from pgweir.pools()}) eq 'other';
} 'the pool to go';
expire_after('1h');
pass('a pool that is no longer reported goes');

# several sidecars report while others read
PgweirTest::write_file("$ENV{PGWEIR_TMP}/report.sql", <<'SQL');
select pgweir.report('three', 1, jsonb_build_object('pools', (select jsonb_agg(jsonb_build_object('db', 'db' || i, 'user', 'app', 'queries', 1)) from generate_series(1, 20) i)));
select pgweir.report('four', 1, '{"pools": [{"db": "one", "user": "app", "queries": 1}], "servers": [{"pid": 1}, {"pid": 2}]}');
select count(*) from pgweir.pool_pressure, pgweir.linked();
SQL
$pg->sql('select pgweir.reset()');
my ($status, undef, $err) = $pg->pgbench('-n', '-c', 4, '-j', 2, '-t', 100, '-f', "$ENV{PGWEIR_TMP}/report.sql");
is($status, 0, 'reports and readings at the same time') or diag $err;
is($pg->sql(q{select string_agg(distinct total_queries::text, ' ') || ' in ' || count(*) from pgweir.pools()}), '400 in 21', 'every report was added up');
is($pg->sql(q{select count(*) from pgweir.linked()}), 2, 'linked connections are replaced, not added');

# pgweir.deadline reaches a client by itself
my $wire = $pg->wire(user => 'app', params => {options => '-c pgweir.deadline=300ms'});
is($wire->{params}{'pgweir.deadline'}, '300ms', 'the deadline is reported at login');
$wire->ask(q{set pgweir.deadline = '1s'});
is($wire->{params}{'pgweir.deadline'}, '1s', 'and when it is set');
$wire->ask('begin');
$wire->ask(q{set local pgweir.deadline = '2s'});
is($wire->{params}{'pgweir.deadline'}, '2s', 'also for a transaction');
$wire->ask('rollback');
is($wire->{params}{'pgweir.deadline'}, '1s', 'and when that ends');
$pg->sql(q{alter role app set pgweir.deadline = '5s'});
is($pg->wire(user => 'app')->{params}{'pgweir.deadline'}, '5s', 'also from ALTER ROLE');
done_testing;
