# Each figure of a report, made by doing what it is about: clients that give up, that think, that do not read, that repeat themselves.
use PgweirTest;

my $pg = server(conf => {max_connections => 30});
$pg->sql('create extension pgweir');
$pg->sql('create role reporter login; grant usage on schema pgweir to reporter; grant execute on function pgweir.report to reporter');
$pg->sql('create table item (id int primary key, order_id int, name text); insert into item select i, i / 10, repeat(\'x\', 900) from generate_series(1, 20000) i');

my $dead_port = free_port;
my $w = sidecar($pg,
	databases => {
		shop => 'dbname=postgres', wait => 'dbname=postgres pool_size=1', give => 'dbname=postgres', think => 'dbname=postgres', big => 'dbname=postgres',
		loop => 'dbname=postgres', auto => 'dbname=postgres', churn => 'dbname=postgres', apps => 'dbname=postgres',
		dead => "port=$dead_port dbname=postgres", nothere => 'dbname=nothere'},
	settings => {report_user => 'reporter', report_interval => '100ms', reporter_name => 'one', report_database => 'shop', max_client_conn => 20, log_pooler_errors => 0, server_login_retry => 1, deadline_grace => '60s', worker_spread => 'even'}); # a run of the same statement ends where its client moves

sub value { my ($sql) = @_; return $pg->sql("select $sql"); }
sub pool { my ($database, $column) = @_; return value("$column from pgweir.pools() where database = '$database'"); }
# A report that began after now has been taken.
sub next_report
{
	my $seen = value('coalesce(max(reports), 0) from pgweir.reporters()');

	return eventually { value('coalesce(max(reports), 0) from pgweir.reporters()') >= $seen + 2 } 'two more reports';
}
sub pause { select undef, undef, undef, $_[0]; return; }

subtest 'clients that give up' => sub {
	my $holder = $w->wire(dbname => 'wait');

	$holder->ask('begin');
	$w->wire(dbname => 'give')->ask('select 1'); # there is a server
	# Each gives up after 0.3 s, or later when the machine stands still: then more come, until that is what most of them did.
	for my $case (['wait', 'gone_waiting', 'cl_waiting', 'select 1'], ['give', 'gone_running', 'sv_active', 'select pg_sleep(2000)'])
	{
		my ($database, $counted, $shown, $sql) = @$case;
		my ($n, $peak, $share) = (0);

		eventually
		{
			for (1 .. 4)
			{
				my $c = $w->wire(dbname => $database);
				my $t = Time::HiRes::time();

				$c->send(PgWire::query($sql));
				eventually { $w->pool($database, 'postgres')->{$shown} } 'it has begun';
				pause($t + 0.3 - Time::HiRes::time()) if Time::HiRes::time() < $t + 0.3;
				close $c->{socket};
				$n++;
				eventually { pool($database, $counted) eq $n } 'it to be reported';
				eventually { !$w->pool($database, 'postgres')->{sv_active} } 'its end' if $database eq 'give';
			}
			($peak, $share) = (pool($database, 'gone_peak_ms'), pool($database, 'gone_peak_share'));
			$peak >= 299 && $peak <= 600 && $share >= 0.5;
		}
		"$database: the time when they give up";
		pass("$database: $share of $n gave up after $peak ms");
		is(pool($database, $counted), $n, "$database: all are counted");
	}
	$holder->ask('commit');
	is(pool('wait', 'gone_running'), 0, 'who waits does not run');
};

subtest 'think time, requests of a transaction' => sub {
	my $c = $w->wire(dbname => 'think');

	$c->ask('begin');
	for (1 .. 3) { pause(0.06); $c->ask('select 1'); }
	pause(0.06);
	$c->ask('commit');
	$c->ask('select 1') for 1 .. 3;
	next_report();
	is(pool('think', 'think_n'), 4, 'pauses');
	cmp_ok(pool('think', 'think_p50_ms'), '>=', 60, 'their median');
	cmp_ok(pool('think', 'think_us'), '>=', 240_000, 'their sum');
	is(pool('think', "concat_ws('|', xacts, queries, requests_p50, requests_p99)"), '4|8|1|5', 'transactions and their requests');
};

subtest 'the same statement again and again' => sub {
	my $c = $w->wire(dbname => 'loop');

	$c->ask('begin');
	$c->ask("select id from item where order_id < 10 limit 1 -- secret");
	for my $i (1 .. 30)
	{
		$c->ask("select name from item where id = $i and name <> 'hidden'");
		$c->ask("select  count(*) from item /* note */ where order_id = $i") if $i <= 12;
	}
	$c->ask('commit');
	$c->ask('begin');
	$c->ask("select name from item where order_id = $_") for 1 .. 5;
	$c->ask('commit');
	next_report();
	is($pg->sql("select kind, query, units, statements, most from pgweir.repeats() where database = 'loop' order by most desc"),
		"transaction|select name from item where id = ? and name <> ?|1|30|30\ntransaction|select count(*) from item where order_id = ?|1|12|12",
		'both statements of the loop, without literals');
	is(pool('loop', "concat_ws('|', repeat_units, repeat_statements)"), '2|42', 'and their sums');
	$c->ask('begin');
	$c->send(map { PgWire::extended('select name from item where id = $1', $_) } ($_)) && $c->until_ready for 1 .. 50;
	close $c->{socket};
	eventually { value("max(most) from pgweir.repeats() where database = 'loop'") eq '50' } 'a transaction that its client leaves';
	pass('also when the client leaves');
};

subtest 'outside of transactions' => sub {
	my $c = $w->wire(dbname => 'auto');

	# a machine that stands still for a moment makes a pause, too: try again
	eventually {
		for my $i (1 .. 20) { $c->ask("select name from item where id = $i"); }
		$c->ask('select 1');
		next_report();
		value("coalesce(max(most), 0) from pgweir.repeats() where database = 'auto'") == 20;
	} 'a run without pauses';
	for my $i (1 .. 10) { $c->ask("select order_id from item where id = $i"); pause(0.03); }
	$c->ask('select 1');
	next_report();
	is($pg->sql("select kind, query, most from pgweir.repeats() where database = 'auto'"), 'connection|select name from item where id = ?|20', 'a run without pauses, not one with');
};

subtest 'a client that does not read' => sub {
	my $c = $w->wire(dbname => 'big');

	$c->send(PgWire::query('select a.name from item a, generate_series(1, 3)'));
	eventually { pool('big', 'cl_blocked') eq '1' } 'it to be seen';
	my $first = pool('big', 'maxblocked_us');
	eventually { pool('big', 'maxblocked_us') > $first + 200_000 } 'its time to grow';
	is(pool('big', 'drain_us'), 0, 'it is counted when it has passed');
	$c->until_ready;
	eventually { pool('big', 'drain_us') > 200_000 } 'its time to be counted';
	next_report();
	is(pool('big', 'cl_blocked'), 0, 'blocked no more');
	my $counted = pool('big', 'drain_us');
	$c->send(PgWire::query('select a.name from item a, generate_series(1, 3)'));
	eventually { pool('big', 'maxblocked_us') > 100_000 } 'it to be blocked again';
	close $c->{socket};
	eventually { pool('big', 'drain_us') > $counted + 100_000 } 'the time of one that never read';
	pass('also the time of one that leaves is counted');
};

subtest 'upstreams' => sub {
	my $c = PgWire->open_socket(port => $w->{port});

	$c->send(PgWire::startup(user => 'postgres', database => 'dead')); # it waits: the server might come
	eventually { (pool('dead', 'connect_failures') || 0) > 0 } 'the failures';
	eventually { pool('dead', 'failing_us') > 0 } 'the state';
	is(pool('dead', 'error'), 'connect failed', 'why');
	is(pool('dead', 'logins_refused'), 0, 'nobody said no');
	$c = $w->wire(dbname => 'nothere', may_fail => 1);
	like($c->{failed}{M}, qr/database "nothere" does not exist/, 'the server itself refuses');
	eventually { (pool('nothere', 'logins_refused') || 0) > 0 } 'the refusal';
	like(pool('nothere', 'error'), qr/database "nothere" does not exist/, 'its words');
	cmp_ok(pool('nothere', 'unserved'), '>=', 1, 'who could not be served');
	$pg->sql('create database nothere');
	eventually { $w->wire(dbname => 'nothere', may_fail => 1)->{failed} ? 0 : 1 } 'the login to be tried again';
	next_report();
	is(pool('nothere', "concat_ws('|', failing_us, error)"), '0', 'all is well again');
	is(pool('shop', "coalesce(max(failing_us), 0)"), 0, 'others were well all the time');
};

subtest 'logins and their ends' => sub {
	for (1 .. 6) { my $c = $w->wire(dbname => 'churn'); pause(0.05); close $c->{socket}; }
	eventually { pool('churn', 'disconnects') eq '6' } 'the disconnections';
	is(pool('churn', 'logins'), 6, 'logins');
	my $life = pool('churn', 'life_p50_ms');
	ok($life >= 50 && $life < 5000, "connections lived $life ms");
	my $before = value('login_failures from pgweir.reporters()');
	ok($w->wire(dbname => 'unknown', may_fail => 1)->{failed}, 'an unknown database');
	ok($w->wire(user => 'nobody', dbname => 'shop', may_fail => 1)->{failed}, 'an unknown user');
	eventually { value('login_failures from pgweir.reporters()') == $before + 2 } 'two failed logins';
	my @many = map { $w->wire(dbname => 'shop', may_fail => 1) } 1 .. 22;
	my $refused = grep { $_->{failed} } @many;
	cmp_ok($refused, '>=', 2, 'more clients than allowed');
	eventually { value('clients_refused from pgweir.reporters()') == $refused } 'them to be reported';
	pass('each is');
	undef @many;
	eventually { eval { (grep { $_->{list} eq 'used_clients' } @{$w->console('show lists')})[0]{items} <= 1 } } 'room for others';
};

subtest 'applications' => sub {
	my $c = $w->wire(dbname => 'apps', params => {application_name => 'shop-2.0'});
	my $d = $w->wire(dbname => 'apps', params => {application_name => 'shop-2.1'});

	$c->ask('select 1') for 1 .. 5;
	$d->ask('select nonsense') for 1 .. 3;
	next_report();
	is($pg->sql("select application_name, clients, queries, errors, query_ms > 0 from pgweir.applications() where database = 'apps' order by 1"),
		"shop-2.0|1|5|0|t\nshop-2.1|1|3|3|t", 'by name');
	my $first = value("first_seen from pgweir.applications() where application_name = 'shop-2.0'");
	$c->ask("set application_name = 'shop-3.0'");
	$c->ask('select 1') for 1 .. 2;
	close $d->{socket};
	eventually { value("clients from pgweir.applications() where application_name = 'shop-2.1'") eq '0' } 'the end of one';
	is($pg->sql("select application_name, clients from pgweir.applications() where database = 'apps' order by 1"), "shop-2.0|0\nshop-2.1|0\nshop-3.0|1", 'a name that changes');
	cmp_ok(value("queries from pgweir.applications() where application_name = 'shop-3.0'"), '>=', 2, 'counts for the new one');
	is(value("first_seen > '$first' from pgweir.applications() where application_name = 'shop-3.0'"), 't', 'which is seen since then');
};

subtest 'errors as clients are told' => sub {
	my $c = $w->wire(dbname => 'shop');

	$c->ask('select 1/0');
	is($c->ask("/* pgweir_deadline='30ms' */ select pg_sleep(9)")->{errors}[0]{C}, '57014', 'a deadline');
	eventually { value("coalesce(sum(total), 0) from pgweir.pool_errors() where database = 'shop' and sqlstate in ('22012', '57014')") == 2 } 'both';
	is(pool('shop', 'expired_running'), 1, 'the deadline missed while running');
	pass('errors by SQLSTATE');
};

subtest 'sockets' => sub {
	my $c = $w->wire(dbname => 'shop');

	for (1 .. 20) { $c->ask('select 1'); }
	eventually { value("coalesce(sum(segments), 0) from pgweir.peers() where kind = 'client'") >= 20 } 'segments to clients';
	eventually { value("coalesce(sum(segments), 0) from pgweir.peers() where kind = 'server'") >= 20 } 'segments to servers';
	is(value("bool_and(rtt_ms > 0 and rtt_max_ms >= rtt_ms and retrans <= segments and unacked >= 0) from pgweir.peers()"), 't', 'round trips and the rest');
};

subtest 'versions' => sub {
	my $mark = $w->log_mark;
	my $say = qr/the extension understands reports of version (\d+), this process sends version (\d+): update (the extension|pgweir)/;
	my $reports = sub { value('max(reports) from pgweir.reporters()') };

	unlike($w->log, $say, 'nothing to say when they are the same');
	$pg->sql(q{begin; alter function pgweir.report rename to report_c;
		create function pgweir.report(text, integer, jsonb) returns void language plpgsql security definer as $$ begin
			if $2 <> 1 then raise 'unsupported report version %', $2 using errcode = '0A000'; end if;
			perform pgweir.report_c($1, $2, $3); end $$; commit});
	my $seen = $reports->();
	eventually { $reports->() > $seen + 3 } 'reports to an older extension';
	like($w->log_since($mark), qr/version 1, this process sends version \d+: update the extension/, 'the log tells');
	my @told = $w->log_since($mark) =~ /$say/g;
	is(scalar @told / 3, 1, 'once');
	unlike($w->log_since($mark), qr/does not work/, 'and it works');
	$pg->sql(q{begin; create or replace function pgweir.report2(text, integer, jsonb) returns integer language sql security definer as 'select pgweir.report_c($1, $2, $3) + 1000';
		drop function pgweir.report; alter function pgweir.report2 rename to report; commit});
	$w->console('set report_interval = 0');
	$w->console("set report_interval = '100ms'");
	ok($w->wait_log(qr/version 100\d, this process sends version \d: update pgweir/, $mark), 'a newer one likewise');
};

is($w->complaints, '', 'no complaints of sanitizers');
done_testing();
