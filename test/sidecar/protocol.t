# What a client sees through the sidecar is what PostgreSQL says: simple and extended protocol, pipelines, errors, sizes.
use PgweirTest;

my $pg = server(preload => '');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 2}, databases => {postgres => ''});
my $c = $w->wire;
my $a;

sub rows { return join '|', map { join ',', map { $_ // 'NULL' } @$_ } @{$_[0]{rows}}; }

$a = $c->ask('select 1');
is("$a->{types} $a->{status} " . rows($a), 'TDCZ I 1', 'a simple query is answered');
$a = $c->ask('select 1/0');
is("$a->{types} $a->{status} $a->{error}{C}", 'EZ I 22012', 'an error is the server\'s and the session goes on');
$a = $c->ask('select 1; select 2; select 3');
is(rows($a), '1|2|3', 'several statements in one Query');
$a = $c->ask('');
is($a->{types}, 'IZ', 'an empty query');

$c->send(PgWire::extended('select $1::int + $2::int', 40, 2));
$a = $c->until_ready;
is("$a->{types} " . rows($a), '12TDCZ 42', 'the extended protocol');
$c->send(PgWire::parse('', 'select generate_series(1, 5)'), PgWire::bind_message('p', ''), PgWire::execute('p', 2),
	PgWire::execute('p', 2), PgWire::execute('p', 2), PgWire::sync());
$a = $c->until_ready;
is("$a->{types} " . rows($a), '12DDsDDsDCZ 1|2|3|4|5', 'a portal fetched in parts');
$c->send(PgWire::extended('select 1/0'), PgWire::extended('select 7'));
is($c->until_ready->{error}{C}, '22012', 'an error in a pipeline ends its own group');
is(rows($c->until_ready), '7', '... and not the next');
$c->send(PgWire::parse('', 'selec'), PgWire::bind_message('', ''), PgWire::execute(), PgWire::sync());
is($c->until_ready->{types}, 'EZ', 'after an error the rest up to Sync is skipped');
$c->send(PgWire::parse('', 'selec'), PgWire::flush_message());
is($c->next_message->{type}, 'E', 'an error is told before the Sync');
$c->send(PgWire::bind_message('', ''), PgWire::query('select 1'), PgWire::sync());
is($c->until_ready->{types}, 'Z', '... and everything up to it is skipped, a Query too');

$c->send(map { PgWire::query($_) } 'begin', 'select 1', 'savepoint a', 'select 1/0', 'rollback to a', 'commit');
is(join(' ', map { $c->until_ready->{status} } 1 .. 6), 'T T T E T I', 'the transaction status of each group of a pipeline');
$c->send(PgWire::sync(), PgWire::sync());
is($c->until_ready->{types} . $c->until_ready->{types}, 'ZZ', 'a Sync alone is answered');
$c->send((map { PgWire::parse('', "select $_") . PgWire::bind_message('', '') . PgWire::execute() } 1 .. 5000), PgWire::sync());
is(scalar @{$c->until_ready->{rows}}, 5000, 'a pipeline of 5000 statements in one group');
$c->send(map { PgWire::query("select $_") } 1 .. 2000);
my $sum = 0;
$sum += $c->until_ready->{rows}[0][0] for 1 .. 2000;
is($sum, 2001 * 1000, '2000 queries sent without waiting');

is(rows($c->ask("select length('" . 'y' x 5_000_000 . "')")), '5000000', 'a query of 5 MB');
$c->send(PgWire::extended('select length($1::text)', 'z' x 3_000_000));
is(rows($c->until_ready), '3000000', 'a parameter of 3 MB');
$a = $c->ask("select repeat('x', 20000000)");
is(length $a->{rows}[0][0], 20_000_000, 'a value of 20 MB');
$a = $c->ask("select repeat('x', 1000) from generate_series(1, 50000)");
is(scalar @{$a->{rows}}, 50_000, '50 MB of rows');
# A byte at a time: no message is ever seen whole.
for my $byte (split //, PgWire::query('select 11') . PgWire::extended('select 12'))
{
	$c->send($byte);
	select undef, undef, undef, 0.001;
}
is(rows($c->until_ready) . rows($c->until_ready), '1112', 'messages that arrive byte by byte');

$a = $c->ask("do \$\$ begin raise notice 'hear'; raise warning 'this'; end \$\$");
is(join(' ', map { $_->{M} } @{$a->{notices}}), 'hear this', 'notices come through');
$c->send(PgWire::message('F', pack('N n n n N a4 n', 1396, 1, 1, 1, 4, pack('N', 9), 1)));
like($c->until_ready->{types}, qr/^[VE]Z$/, 'a FunctionCall is one group');
ok($c->disconnect || 1, 'the client leaves');

subtest 'the startup parameters of PostgreSQL arrive' => sub {
	my $n = $w->wire(params => {application_name => 'app one', TimeZone => 'Asia/Tokyo', client_encoding => 'latin1', DateStyle => 'german'});

	is($n->{params}{server_encoding}, 'UTF8', 'untracked ones are told as the server tells them');
	is($n->value("select current_setting('application_name') || current_setting('timezone') || current_setting('client_encoding') || current_setting('datestyle')"),
		'app oneAsia/TokyoLATIN1German, DMY', 'tracked ones are set on the server');
};
subtest 'what is refused' => sub {
	my $try = sub { my $c = $w->wire(may_fail => 1, @_); return $c->{failed}{C} . ' ' . $c->{failed}{M}; };

	is($try->(params => {statement_timeout => 5}), '08P01 unsupported startup parameter: statement_timeout', 'an unknown startup parameter');
	is($try->(params => {options => '-c geqo=off'}), '08P01 unsupported startup parameter in options: geqo', 'one in options');
	is($try->(params => {options => '-d 5'}), "08P01 unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed", 'another option');
	is($try->(database => 'nowhere'), '08P01 no such database: nowhere', 'an unknown database');
};
subtest 'an older or newer protocol' => sub {
	my $s = PgWire->open_socket(port => $w->{port});

	my $body = pack('N', 196610) . "user\0" . $w->{user} . "\0database\0postgres\0_pq_.odd\0x\0\0";
	$s->send(pack('N', 4 + length $body) . $body);
	is($s->next_message->{type}, 'v', 'a newer minor version is negotiated down');
	$s = PgWire->open_socket(port => $w->{port});
	$s->send(pack('N N', 8, 80877103));
	$s->fill;
	is($s->{buffer}, 'N', 'an SSLRequest is answered N');
};
# A pipeline: answers come in order, errors in their place, and whoever waits for the connection gets it afterwards.
{
	my $p = $w->wire;
	my (@seen, $other);

	$p->send(join '', map { $_ == 500 ? PgWire::query('select 1/0') : PgWire::query("select $_") } 1 .. 2000);
	for (1 .. 2000)
	{
		my $answer = $p->until_ready;

		push @seen, $answer->{error} ? "error $answer->{error}{C}" : $answer->{rows}[0][0];
	}
	is("@seen", join(' ', map { $_ == 500 ? 'error 22012' : $_ } 1 .. 2000), 'two thousand statements in a pipeline are answered in order');
	becomes { $w->pool('postgres', 'postgres')->{sv_active} } 0, 'and the server connection is given back';
}

done_testing;
