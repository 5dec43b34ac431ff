# COPY both ways, in both protocols, large, failing, and into a client that does not read.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2});
my $c = $w->wire;
my $a;

sub copy_out { my ($sql) = @_; my $bytes = 0; $c->send(PgWire::query($sql)); while (my $m = $c->next_message) { $bytes += length $m->{payload} if $m->{type} eq 'd'; last if $m->{type} eq 'Z'; } return $bytes; }

$c->ask('create table t(a int, b text)');
for my $round (1 .. 3)
{
	$c->send(PgWire::query('copy t from stdin'));
	is($c->next_message->{type}, 'G', "round $round: CopyInResponse");
	$c->send((map { PgWire::copy_data("$_\t" . 'x' x 100 . "\n") } 1 .. 20_000), PgWire::copy_done());
	$a = $c->until_ready;
	is("@{$a->{tags}} $a->{status}", 'COPY 20000 I', "round $round: 20000 rows");
}
is($c->value('select count(*) from t'), 60_000, 'all rows are there');
is(copy_out('copy t to stdout'), $pg->sql('select sum(length(a::text) + length(b) + 2) from t'), 'COPY TO gives them back');
$c->send(PgWire::parse('', 'copy t(a) from stdin'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::sync());
is(join('', map { $c->next_message->{type} } 1 .. 3), '12G', 'in the extended protocol, Sync sent first as libpq does');
$c->send(PgWire::copy_data("1\n"), PgWire::copy_done(), PgWire::sync());
$a = $c->until_ready;
is("@{$a->{tags}} $a->{types}", 'COPY 1 CZ', '... one answer for the two Syncs');
is($c->value('select 7'), 7, '... and the session is in step');
$c->send(PgWire::query('copy t from stdin'));
$c->next_message;
$c->send(PgWire::copy_data("bad\n"), (map { PgWire::copy_data("1\tx\n") } 1 .. 1000), PgWire::copy_done());
is($c->until_ready->{error}{C}, '22P02', 'bad data');
is($c->value('select 8'), 8, '... what follows it is dropped and the session goes on');
$c->send(PgWire::query('copy t from stdin'));
$c->next_message;
$c->send(PgWire::copy_fail('no more'));
like($c->until_ready->{error}{M}, qr/no more/, 'CopyFail');
$c->send(PgWire::copy_data('stray'), PgWire::copy_done());
is($c->value('select 9'), 9, 'stray copy messages are ignored');

subtest 'a client that stops reading' => sub {
	my $slow = $w->wire;
	my $before = rss();

	$slow->send(PgWire::query("select repeat('x', 1000) from generate_series(1, 300000)"));
	eventually { $pg->sql("select wait_event from pg_stat_activity where query like '%300000%' and wait_event = 'ClientWrite'") } 'the server is held up';
	is($c->value('select 10'), 10, 'others are served');
	cmp_ok(rss() - $before, '<', 20_000, 'memory stays bounded (kB)');
	is(scalar @{$slow->until_ready->{rows}}, 300_000, 'and gets everything when it reads on');
};
subtest 'a server that stops reading' => sub {
	my $blocker = $w->wire;
	my $before = rss();
	my $pid;

	$c->send(PgWire::query('copy t from stdin'));
	$c->next_message;
	$pid = $pg->sql("select pid from pg_stat_activity where query = 'copy t from stdin' and state = 'active'");
	kill 'STOP', $pid;
	{
		my $sent = 0;
		my $select = IO::Select->new($c->{socket});
		my $data = PgWire::copy_data("1\t" . 'y' x 8000 . "\n");

		while ($sent < 50_000_000 && $select->can_write(0.5)) { $c->{socket}->blocking(0); my $n = syswrite $c->{socket}, $data; last unless $n; $c->{partial} = $n < length $data ? substr $data, $n : ''; $sent += $n; last if length $c->{partial}; }
		$c->{socket}->blocking(1);
		cmp_ok($sent, '<', 50_000_000, 'the client is slowed down');
	}
	cmp_ok(rss() - $before, '<', 20_000, 'memory stays bounded (kB)');
	kill 'CONT', $pid;
	$c->send($c->{partial} // '', PgWire::copy_done());
	like($c->until_ready->{tags}[0], qr/^COPY \d+/, 'and the copy goes on');
};
sub rss { my ($kb) = PgweirTest::slurp('/proc/' . $w->pid . '/status') =~ /VmRSS:\s+(\d+)/; return $kb; }
done_testing;
