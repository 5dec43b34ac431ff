# Without shared_preload_libraries the extension can be created, and says what is missing.
use lib 'test/lib';
use PgweirTest;

my $pg = server(preload => '');
$pg->sql('create extension pgweir');
pass('CREATE EXTENSION works');
for my $call ('pgweir.slow_queries', 'pgweir.running_queries', 'pgweir.connections', 'pgweir.pool_pressure', 'pgweir.diagnosis', 'pgweir.signals',
	'pgweir.info()', 'pgweir.statements(true)', 'pgweir.activity()', 'pgweir.timeline()', 'pgweir.pools()', 'pgweir.reporters()', 'pgweir.linked()',
	'pgweir.peers()', 'pgweir.wait_profile', 'pgweir.waits()', 'pgweir.sampler()', 'pgweir.pool_errors()', 'pgweir.applications()', 'pgweir.repeats()', 'pgweir.reset()', 'pgweir.flush()', 'pgweir.snapshot()', 'pgweir.slow_queries_by_caller', 'pgweir.slow_samples', 'pgweir.plan_history', 'pgweir.slow_queries_last_hour', q{pgweir.report('one', 1, '{}')})
{
	my $error = $pg->sql_error("select * from $call");

	like($error, qr/ERROR:  55000: pgweir was not loaded when the server started/, "$call says so");
	like($error, qr/HINT:  Set shared_preload_libraries = 'pgweir'/, 'with the setting to paste');
}
# what needs no shared memory works
is($pg->sql(q{select pgweir.comment_deadline($$select 1 /* pgweir_deadline='1s' */$$)}), 1000, 'functions that need nothing work');
is($pg->sql(q{load 'pgweir'; set pgweir.deadline = '1s'; show pgweir.deadline}), '1s', 'a session may load it for its setting');
like($pg->sql_error(q{load 'pgweir'; set pgweir.deadline = 'x'}), qr/is not a duration/, 'which is checked');
$pg->sql('drop extension pgweir');
pass('and it can be dropped');
done_testing;
