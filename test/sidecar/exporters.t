# What monitoring reads from the console: the columns that exporters ask for by name, as numbers; and drivers as those use them.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, databases => {shop => 'dbname=postgres pool_size=3', '*' => ''}, settings => {stats_users => 'watcher', default_pool_size => 4, pool_mode => 'transaction'},
	auth => {postgres => '', watcher => ''});
my $client = $w->wire(database => 'shop');
$client->ask('begin');

# Labels are texts; the rest must be a number in each row.
my %label = map { $_ => 1 } qw(name host port database force_user user pool_mode list key value load_balance_hosts);
my @totals = qw(xact_count query_count xact_time query_time wait_time client_parse_count server_parse_count bind_count server_assignment_count);
my %exporters = (
	'prometheus-community/pgbouncer_exporter' => {
		databases => [qw(name host port database force_user pool_size pool_mode max_connections current_connections paused disabled)],
		stats_totals => ['database', @totals, 'bytes_received', 'bytes_sent'],
		pools => [qw(database user cl_active cl_active_cancel_req cl_waiting cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait)]},
	'Datadog' => {
		stats => ['database', map({ ("total_$_", "avg_$_") } @totals), 'total_received', 'total_sent', 'avg_recv', 'avg_sent'],
		pools => [qw(database user cl_active cl_waiting sv_active sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode)],
		databases => [qw(name host port database pool_size reserve_pool_size pool_mode max_connections current_connections)],
		config => [qw(key value)], clients => [qw(user database state connect_time request_time wait wait_us ptr link)], servers => [qw(user database state connect_time request_time)]},
	'Telegraf' => {
		stats => ['database', map { "avg_$_" } qw(query_count query_time wait_time xact_count xact_time recv sent)],
		pools => [qw(database user pool_mode cl_active cl_waiting sv_active sv_idle sv_used sv_tested sv_login maxwait)],
		lists => [qw(list items)], databases => [qw(name host port database pool_size min_pool_size pool_mode max_connections current_connections)]},
);
my $watcher = $w->wire(user => 'watcher', database => 'pgbouncer');

for my $name (sort keys %exporters)
{
	for my $show (sort keys %{$exporters{$name}})
	{
		$watcher->send(PgWire::query("SHOW \U$show\E;"));
		my (@columns, @wrong);
		my $rows = 0;

		while (my $m = $watcher->next_message)
		{
			if ($m->{type} eq 'T') { @columns = (substr $m->{payload}, 2) =~ /\G([^\0]+)\0.{18}/gs; }
			elsif ($m->{type} eq 'D')
			{
				my %row;

				@row{@columns} = @{PgWire::row_values($m->{payload})};
				$rows++;
				push @wrong, grep { !exists $row{$_} } @{$exporters{$name}{$show}};
				push @wrong, map { "$_ = $row{$_}" } grep { !$label{$_} && $show !~ /clients|servers/ && defined $row{$_} && $row{$_} !~ /^-?\d+(?:\.\d+)?$/ } @{$exporters{$name}{$show}};
			}
			last if $m->{type} eq 'Z';
		}
		is("@wrong", '', "$name: SHOW \U$show\E has its columns, with numbers where they are due");
		cmp_ok($rows, '>', 0, '... and rows');
	}
}
my %lists = map { @$_ } @{$watcher->ask('SHOW LISTS')->{rows}};
is(join(' ', grep { !defined $lists{$_} } qw(databases users pools free_clients used_clients login_clients free_servers used_servers dns_names dns_zones dns_queries dns_pending)), '', 'SHOW LISTS has the lists they look for');
my %config = map { $_->[0] => $_->[1] } @{$watcher->ask('SHOW CONFIG')->{rows}};
like($config{$_}, qr/^\d+$/, "SHOW CONFIG: $_") for qw(max_client_conn max_user_connections default_pool_size);
like($watcher->ask('SHOW VERSION;')->{rows}[0][0], qr/^PgBouncer \d+\.\d+\.\d+/, 'the version reads like one of PgBouncer');

# As a driver asks that knows nothing of consoles.
my ($status, $out, $err) = run_program(['psql', '-XAtqc', 'show pools;', '-F', ' ', '-d', 'pgbouncer', '-U', 'watcher'], env => {$w->environment});
like($out, qr/^shop postgres 1 0 /m, 'psql') or diag $err;
SKIP: {
	my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';

	skip 'no psycopg2', 1 if system("$python -c 'import psycopg2' 2>/dev/null") != 0;
	($status, $out, $err) = run_program([$python, '-c', <<'PYTHON'], env => {$w->environment});
import psycopg2
c = psycopg2.connect(dbname='pgbouncer', user='watcher')
c.set_session(autocommit=True)
with c.cursor() as cursor:
    for show in 'STATS', 'POOLS', 'DATABASES', 'LISTS', 'CLIENTS':
        cursor.execute('SHOW %s;' % show)
        rows = cursor.fetchall()
        names = [d.name for d in cursor.description]
        print(show, len(rows) > 0, all(len(r) == len(names) for r in rows))
    cursor.execute('SHOW POOLS')
    print([dict(zip([d.name for d in cursor.description], r))['cl_active'] for r in cursor.fetchall() if r[0] == 'shop'])
PYTHON
	is($out, join('', map { "$_ True True\n" } qw(STATS POOLS DATABASES LISTS CLIENTS)) . "[1]\n", 'psycopg2, as the exporter in Python uses it') or diag $err;
}
done_testing;
