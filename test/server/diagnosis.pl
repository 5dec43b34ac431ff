# Each cause that can be judged is injected, and comes to be named alone; without one, nobody is accused.
#
# Much of what is judged is measured, and a machine that stops for a moment is slow indeed: a situation lasts until the diagnosis says of it
# what it should, and when it was disturbed it is made again.
use lib 'test/lib';
use PgweirTest;
use Time::HiRes qw(sleep time);

# What the machine has to do besides is not what is tested: it never counts as short of processors.  A report stays until the next one.
my $pg = server(conf => {max_connections => 40, log_min_messages => 'error', autovacuum => 'off', 'pgweir.flush_interval' => '200ms',
	'pgweir.report_expiry' => '1h', 'pgweir.advisor_time_limit' => 0, 'pgweir.slow_threshold' => -1, 'pgweir.slow_factor' => 0, 'pgweir.thresholds' => 'cpu_short=2'});
$pg->sql('create extension pgweir');
$pg->pgbench('-i', '-q', '-s', '4');

# A sidecar's report: a pool of ten of this database, with what differs.
sub report
{
	my (%pool) = @_;
	my $net = delete $pool{net} // '[{"addr": "10.0.0.7", "n": 20, "rtt_us": 300, "rttvar_us": 50, "retrans": 0, "lost": 0}]';
	my %all = (db => '"postgres"', user => '"postgres"', mode => '"transaction"', size => 10, sv_active => 2, sv_idle => 8, queries => 100,
		xacts => 100, wait_hist => '[[8, 100]]', run_hist => '[[40, 100]]', %pool);
	my $json = join ', ', map { qq("$_": $all{$_}) } sort keys %all;

	$pg->sql(qq(select pgweir.report('one', 1, '{"clients": 20, "pools": [{$json}], "net": {"clients": $net}}')));
	return;
}

sub verdicts
{
	my $rows = $pg->rows('select * from pgweir.diagnosis');
	my %by = map { $_->{cause} => $_ } @$rows;

	return \%by;
}

# The verdicts that are not fine, as "1 suspect, 4 culprit".
sub accused
{
	my ($v) = @_;

	return join ', ', map { "$_ $v->{$_}{verdict}" } grep { $v->{$_}{verdict} =~ /suspect|culprit/ } sort keys %$v;
}

my (@load, @sessions);
# Runs until the situation is over.
sub load_start
{
	my ($sql, $clients, @more) = @_;
	my $file = sprintf '%s/load%d.sql', $ENV{PGWEIR_TMP}, scalar @load;

	PgweirTest::write_file($file, $sql);
	push @load, PgweirTest::spawn(['pgbench', '-h', $pg->host, '-p', $pg->port, '-U', 'postgres', '-n', '-c', $clients, '-T', 3600, '-f', $file,
			@more, 'postgres'], "$file.out");
	return;
}
sub load_end { kill 'TERM', @load; PgweirTest::reap($_, $PgweirTest::TIMEOUT) for @load; @load = (); return; }
END { local $? = 0; load_end(); }
my $ACCOUNT = "\\set aid random(1, 400000)\nselect abalance from pgbench_accounts where aid = :aid;\n";
# Everything before is forgotten; sessions that merge late do so first.
sub fresh { load_end(); $_->quit for @sessions; @sessions = (); eventually { $pg->sql(q{select count(*) = 1 from pg_stat_activity where backend_type = 'client backend'}) eq 't' } 'sessions to end'; $pg->sql('select pgweir.reset()'); return; }

# Makes the situation and asks for the verdicts until they are those expected.  What a report counts is of the last minute, and what lasts
# becomes usual: after a while all is made again.
sub comes_to
{
	my ($expected, $situation) = @_;
	my $v;

	for (1 .. 5)
	{
		my $end = time + 40;

		fresh();
		$situation->();
		do
		{
			sleep 0.3;
			$v = verdicts();
			return $v if $expected->($v);
		} while time < $end;
	}
	return $v;
}
sub accuses { my ($whom) = @_; return sub { return accused($_[0]) eq $whom; }; }

# --- nothing is wrong ---

my $v = comes_to(sub { return accused($_[0]) eq '' && $pg->sql('select statements >= 500 and sampled_s >= 2 from pgweir.signals') eq 't'; }, sub {
	load_start($ACCOUNT, 2, '-R', 400);
	load_start("\\set aid random(1, 400000)\nbegin; update pgbench_accounts set abalance = abalance + 1 where aid = :aid; commit;\n", 1, '-R', 100);
	report();
});
is(accused($v), '', 'a healthy load accuses nobody') or diag explain $v;
is($v->{$_}{verdict}, 'ok', "cause $_ is judged ok") for 1, 2, 3, 4, 5, 6;
is($v->{7}{verdict}, 'not measured', 'cause 7 is not measured');
like($v->{7}{evidence}, qr/not seen from the database/, 'and says why');

# --- 4: a missing index; the pool it fills is an effect ---

fresh();
$pg->sql('create table item as select g as id, g % 50000 as sku, repeat(\'x\', 100) as filler from generate_series(1, 300000) g; analyze item');
my $began;
$v = comes_to(accuses('1 suspect, 4 culprit, 6 suspect'), sub {
	$began = $pg->sql('select clock_timestamp()');
	load_start("\\set sku random(0, 49999)\nselect count(*) from item where sku = :sku;\n", 4);
	load_start($ACCOUNT, 1, '-R', 50);
	report(sv_active => 10, sv_idle => 0, cl_waiting => 15, maxwait_us => 400000, wait_hist => '[[66, 100]]', expired_queued => 10, expired_running => 5);
});
is($v->{4}{verdict}, 'culprit', 'cause 4: a slow statement class is the culprit') or diag explain $v;
like($v->{4}{evidence}, qr/count\(\*\) from item where sku = \$1/, 'it is named');
like($v->{4}{remedy}, qr/CREATE INDEX CONCURRENTLY \S+ ON \S*item \(sku\)/, 'with the index to create');
is($v->{1}{verdict}, 'suspect', 'the full pool is a suspect only');
like($v->{1}{evidence}, qr/effect of cause 4/, 'and said to be its effect');
is($v->{6}{verdict}, 'suspect', 'so are the missed deadlines');
is(join(' ', map { $v->{$_}{verdict} } 2, 3, 5), 'ok ok ok', 'others are not accused') or diag explain $v;
# In steps of ten seconds at the most.
is($pg->sql("select '$v->{4}{since}'::timestamptz between '$began'::timestamptz - interval '10 s' and clock_timestamp()"), 't', 'since the load began') or diag "$v->{4}{since}, load since $began";

# --- 1: the pool is too small for honest work ---

$v = comes_to(accuses('1 culprit'), sub {
	load_start($ACCOUNT, 2, '-R', 200);
	report(sv_active => 10, sv_idle => 0, cl_waiting => 25, maxwait_us => 300000, wait_hist => '[[66, 100]]', wait_timeouts => 6);
});
is(accused($v), '1 culprit', 'cause 1: a pool that is too small is the culprit') or diag explain $v;
like($v->{1}{evidence}, qr/25 clients wait/, 'with the waiters');
like($v->{1}{remedy}, qr/default_pool_size = 20/, 'and a size to set');

# --- 5: transactions that are left open ---

$v = comes_to(sub { my ($v) = @_; return $v->{5}{verdict} eq 'culprit' && $v->{1}{verdict} eq 'suspect' && accused($v) !~ /[2346] culprit/; }, sub {
	report(sv_active => 10, sv_idle => 0, cl_waiting => 5, maxwait_us => 900000);
	@sessions = map { my $s = $pg->psql_session(app => 'checkout'); $s->query("begin; update pgbench_tellers set tbalance = 0 where tid = $_"); $s } 1 .. 6;
	push @sessions, $pg->psql_session;
	$sessions[-1]->start('update pgbench_tellers set tbalance = 1 where tid = 1');
	eventually { $pg->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock'}) } 'a victim';
});
is($v->{5}{verdict}, 'culprit', 'cause 5: transactions left open are the culprit') or diag explain $v;
like($v->{5}{evidence}, qr/checkout.*which block 1 others.*update pgbench_tellers/, 'who, whom, and what they did last');
like($v->{5}{remedy}, qr/pg_terminate_backend\(\d+\)/, 'and what to do');
is($v->{1}{verdict}, 'suspect', 'the full pool is an effect');
isnt($v->{$_}{verdict}, 'culprit', "cause $_ is not called culprit") for 2, 3, 4, 6;

# --- 5: a release that asks for what is not there ---

$v = comes_to(sub { return accused($_[0]) eq '5 culprit' && $_[0]{5}{evidence} =~ /40 of them/; }, sub {
	load_start($ACCOUNT, 1, '-R', 50);
	my $app = $pg->wire;
	$app->ask('select new_column from pgbench_accounts where aid = 1') for 1 .. 40;
	report();
	$app->disconnect;
});
is(accused($v), '5 culprit', 'cause 5: errors that were not there before') or diag explain $v;
like($v->{5}{evidence}, qr/40 errors .*40 of them about names that do not exist/, 'with their number and kind');

# --- 5: statements one by one that one statement could do; once is no pattern ---

my $repeat = '"fingerprint": "f1", "query": "select name from product where id = ?", "in_xact": 1, "most": 30, "first_us": 4000000';
my $once;
$v = comes_to(accuses('5 suspect'), sub {
	report(queries => 90, repeats => qq([{$repeat, "units": 1, "statements": 30}]));
	$once = accused(verdicts());
	report(queries => 600, repeats => qq([{$repeat, "units": 20, "statements": 600}]));
});
is($once, '', 'cause 5: one transaction that repeats a statement accuses nobody');
is(accused($v), '5 suspect', 'many of them are a suspect, without a new release no culprit') or diag explain $v;
like($v->{5}{evidence}, qr/up to 30 times in a row, 630 times in all \(N\+1\): select name from product/, 'and which statement it is');

# --- 2: the service thinks inside of transactions ---

$v = comes_to(sub { return $_[0]{2}{verdict} eq 'culprit' && $_[0]{1}{verdict} eq 'suspect'; }, sub {
	load_start("begin;\nselect 1;\n\\sleep 60 ms\nselect 2;\n\\sleep 60 ms\ncommit;\n", 6);
	report(sv_active => 10, sv_idle => 0, cl_waiting => 8, maxwait_us => 200000, wait_hist => '[[64, 100]]');
});
is($v->{2}{verdict}, 'culprit', 'cause 2: a service that is slow inside of transactions') or diag explain $v;
is($v->{1}{verdict}, 'suspect', 'the full pool is an effect');
like($v->{1}{evidence}, qr/effect of cause 2/, 'and said to be');

# --- 3: the network ---

$v = comes_to(accuses('3 culprit'), sub {
	load_start($ACCOUNT, 1, '-R', 100);
	report(net => '[{"addr": "10.0.0.7", "n": 20, "rtt_us": 180000, "rttvar_us": 90000, "retrans": 60, "lost": 12}, {"addr": "10.0.0.8", "n": 9, "rtt_us": 200}]');
});
is(accused($v), '3 culprit', 'cause 3: a lossy network') or diag explain $v;
like($v->{3}{evidence}, qr/180.0 ms.*worst: client 10\.0\.0\.7/, 'with the address');

# Segments that the kernel takes to be lost at a moment, and few that were sent again: late, not lost.
$v = comes_to(accuses(''), sub {
	load_start($ACCOUNT, 1, '-R', 100);
	report(net => '[{"addr": "10.0.0.7", "n": 10, "rtt_us": 9000, "rttvar_us": 4000, "retrans": 4, "segments": 1229, "lost": 2}]');
});
is(accused($v), '', 'packets that are late on a busy machine are no loss') or diag explain $v;

# --- 6: callers give up before the usual answer comes ---

$v = comes_to(accuses('6 culprit'), sub {
	load_start($ACCOUNT, 1, '-R', 100);
	report(gone_running => 40, gone_hist => '[[62, 2], [63, 36], [70, 2]]', run_hist => '[[40, 80], [64, 20]]');
});
is(accused($v), '6 culprit', 'cause 6: a timeout that is too short') or diag explain $v;
like($v->{6}{evidence}, qr/40 clients went away.*most of them after \d+ ms: that is their timeout/, 'and how long it is');

# --- 7: what the sidecar can say of it ---

$v = comes_to(accuses('7 suspect'), sub { report(connect_failures => 4); });
is($v->{7}{verdict}, 'suspect', 'cause 7: a sidecar that cannot connect is a sign');
$pg->sql('select pgweir.reset()');
is(verdicts()->{$_}{verdict}, 'not measured', "cause $_ cannot be judged without a sidecar") for 3, 6, 7;

done_testing;
