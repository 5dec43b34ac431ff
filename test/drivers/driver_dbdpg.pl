# DBD::Pg: named prepared statements on the server from the second execution on (pg_switch_prepared).
use strict;
use warnings;
use DBI;
use DBD::Pg;

$| = 1;
binmode STDOUT, ':utf8';
print "driver DBD::Pg $DBD::Pg::VERSION\n";

sub case { my ($name, $body) = @_; my $ok = eval { $body->(); 1 }; my $why = $@; $why =~ s/\n/ /g; print $ok ? "ok $name\n" : "not ok $name: $why\n"; return; }
sub same { my ($got, $wanted) = map { $_ // 'undef' } @_; die "got $got, expected $wanted\n" if $got ne $wanted; return; }

my @dbh = map { DBI->connect('dbi:Pg:', undef, undef, {RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_enable_utf8 => 1}) } 1 .. 4;
my $db = $dbh[0];

case('connect', sub { same($db->selectrow_array('select 1'), 1); });
case('types', sub {
	$db->do('insert into goods values (?, ?, ?, ?, ?, ?)', undef, 1, "caf\x{e9} 'quoted'", '12.50', '2024-02-29 12:30+00', ['a', undef, 'b,c'], '{"k": [1, 2]}');
	my @row = $db->selectrow_array("select id, name, price, extract(epoch from made)::int, tags, extra->'k'->>1 from goods where id = ?", undef, 1);
	same(join('|', @row[0 .. 3], scalar @{$row[4]}, $row[4][2], $row[5]), "1|caf\x{e9} 'quoted'|12.50|1709209800|3|b,c|2");
});
case('transactions', sub {
	my $o = $dbh[1];
	$o->begin_work; $o->do('insert into goods(id) values (2)');
	same($db->selectrow_array('select count(*) from goods where id = 2'), 0);
	$o->rollback;
	$o->begin_work; $o->do('insert into goods(id) values (3)'); $o->commit;
	same($db->selectrow_array('select count(*) from goods where id in (2, 3)'), 1);
});
case('prepared across servers', sub {
	my $s = $db->prepare('select ?::int + 1, pg_backend_pid()');
	my %pids;

	for my $i (0 .. 59)
	{
		my $held = $i % 2 ? $dbh[1 + $i % 3] : undef;

		if ($held) { $held->begin_work; $held->do('select 1'); }
		$s->execute($i);
		my ($value, $pid) = $s->fetchrow_array;
		$s->finish;
		same($value, $i + 1);
		$pids{$pid}++;
		$held->commit if $held;
	}
	die "only one server was used\n" if keys %pids < 2;
});
case('copy', sub {
	$db->do('copy goods(id, name) from stdin');
	$db->pg_putcopydata("$_\tn$_\n") for 1000 .. 2999;
	$db->pg_putcopyend;
	$db->do('copy (select id from goods where id >= 1000) to stdout');
	my ($line, $n) = ('', 0);
	$n++ while $db->pg_getcopydata($line) >= 0;
	same($n, 2000);
});
case('cancel', sub {
	my $o = $dbh[2];
	my $s = $o->prepare('select pg_sleep(3000)', {pg_async => DBD::Pg::PG_ASYNC()});
	my $running = sub { return $db->selectrow_array(q{select count(*) from pg_stat_activity where query like 'select pg_sleep(3000)%' and state = 'active'}) };
	$s->execute;
	select undef, undef, undef, 0.05 until $running->();
	$o->pg_cancel;
	same($o->selectrow_array('select 2'), 2);
});
case('errors', sub {
	for (['selec', '42601'], ['select 1 / 0', '22012'], ['insert into goods(id) values (1)', '23505'])
	{
		die "no error\n" if eval { $db->do($_->[0]); 1 };
		same($db->state, $_->[1]);
	}
	same($db->selectrow_array('select 3'), 3);
});
case('ddl', sub {
	my $s = $db->prepare('select * from goods where id = ?');
	for my $i (0 .. 3)
	{
		for (1 .. 3) { $s->execute(1); same(($s->fetchrow_array)[0], 1); $s->finish; }
		# (a result with more columns than before crashes the driver, also without a pooler)
		$dbh[1]->do("alter table goods alter name type varchar(" . (100 + $i) . ')');
	}
});
$_->disconnect for @dbh;
