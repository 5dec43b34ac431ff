# Prepared statements through libpq's pipeline mode in transaction mode, while other sessions come and go on the same servers: test/drivers/pipeline.c.
use PgweirTest;

my $source = PgweirTest::top() . '/test/drivers/pipeline.c';
my $program = "$ENV{PGWEIR_TMP}/pipeline";
my @flags = map { split ' ' } (run_program(['pkg-config', '--cflags', '--libs', 'libpq']))[1];
my ($status, $out, $err) = run_program([$ENV{CC} // 'cc', '-Wall', '-Wextra', '-Werror', '-o', $program, $source, @flags]);

is($status, 0, 'the program is built') or BAIL_OUT($err);
my $pg = server(preload => '');
my $w = sidecar($pg, settings => {default_pool_size => 3, max_prepared_statements => 5});
my $load = PgweirTest::spawn(['sh', '-c', "echo 'select 1 + :client_id;' > $ENV{PGWEIR_TMP}/l.sql; exec pgbench -n -M prepared -h 127.0.0.1 -p @{[$w->port]} -U postgres -c 4 -T 60 -f $ENV{PGWEIR_TMP}/l.sql postgres"], "$ENV{PGWEIR_TMP}/load");

eventually { grep { $_->{database} eq 'postgres' && $_->{xact_count} > 100 } @{$w->console('show stats_totals')} } 'load';
for my $round (1 .. 3)
{
	$pg->sql('drop table if exists pipe; create table pipe(id int); insert into pipe values (1)');
	($status, $out, $err) = run_program([$program], env => {$w->environment});
	is($status, 0, "round $round: it ends well") or diag $err;
	is(join('; ', $out =~ /^not ok \d+ - (.*)/mg), '', '... with all it tries: ' . scalar(() = $out =~ /^ok /mg) . ' cases') or diag $err;
	like($out, qr/^1\.\.17$/m, '... to its end');
}
cmp_ok((sort { $b <=> $a } map { $_->{prepared_statements} } @{$w->console('show servers')})[0], '<=', 5, 'no server keeps more than max_prepared_statements');
kill 'TERM', $load;
PgweirTest::reap($load);
unlike(slurp("$ENV{PGWEIR_TMP}/load"), qr/ERROR|FATAL/, 'the other sessions have noticed nothing');
is($w->complaints, '', 'no complaints of sanitizers');
done_testing;
