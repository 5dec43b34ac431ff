# adaptive_pool before a real server that gets slower with every statement beyond a few: the pool stays where the server is quick.
use PgweirTest;

my $pg = server(preload => '', conf => {max_connections => 60});
# 8 ms each up to four at once; beyond that the more there are the longer each takes, so that twenty together get less done than four.
# Long beside what a busy machine adds to a statement, which would hide how much longer one takes among others.
$pg->sql(q{create function crowd() returns int language plpgsql volatile as $$
declare busy int;
begin
	select count(*) into busy from pg_stat_activity where state = 'active' and query like 'select crowd()%';
	perform pg_sleep(0.008 * greatest(1, busy * busy / 16.0));
	return busy;
end $$});
my %settings = (pool_mode => 'transaction', default_pool_size => 20, min_pool_size => 1, log_connections => 0, log_disconnections => 0);

# Twenty clients, one statement after another each; how many in all, and the limit that was found.
sub crowded
{
	my ($adaptive) = @_;
	my $w = sidecar($pg, settings => {%settings, adaptive_pool => $adaptive});
	my $first = $w->wire;
	my $file = "$ENV{PGWEIR_TMP}/crowd.sql";
	my ($status, $out);

	$first->ask('select crowd();') for 1 .. 10; # the first statements have the server for themselves
	write_file($file, "select crowd();\n", 0644);
	($status, $out) = run_program(['pgbench', '-n', '-f', $file, '-c', 20, '-j', 2, '-T', 6, '-h', '127.0.0.1', '-p', $w->{port}, '-U', 'postgres', 'postgres']);
	is($status, 0, "pgbench with adaptive_pool = $adaptive") or diag $out;
	my ($done) = $out =~ /actually processed: (\d+)/;
	my ($row) = grep { $_->{database} eq 'postgres' } @{$w->console('show admission')};
	$first->disconnect;
	$w->stop;
	return ($done, $row->{active_limit});
}

# What stands still beside one of the two makes it look bad: the best of some rounds.  Without the limit there would be about as many in both, in each.
my ($fixed, $none, $adaptive, $limit);
for (1 .. 6)
{
	($fixed, $none) = crowded(0);
	($adaptive, $limit) = crowded(1);
	last if $limit < 12 && $adaptive > 1.5 * $fixed;
}

is($none, 0, 'without it there is no limit of its own');
cmp_ok($limit, '>=', 1, 'with it there is one');
cmp_ok($limit, '<', 12, '... well below the pool, where the server is quick');
cmp_ok($adaptive, '>', 1.5 * $fixed, "and much more gets done: $adaptive statements instead of $fixed");
diag("20 clients, 6 s: $fixed statements with all 20 connections, $adaptive with the limit at $limit");
done_testing;
