# [limits]: rules that hold requests of a kind to a number of their own, over all pools.
use PgweirTest;

my $pg = server(preload => '');
$pg->sql('create database other');
my $w = sidecar($pg, settings => {pool_mode => 'transaction', default_pool_size => 6, admission => 0}, ini => <<'INI');
[limits]
reports = application_name=report* max_active=2 max_waiting=3
export  = tag='route=/export*' max_active=1 query_deadline=400ms
INI
my (@c, $a);

sub report { return $w->wire(params => {application_name => 'reporting'}, @_); }
sub row { my ($name) = @_; return (grep { $_->{name} eq $name } @{$w->console('show limits')})[0]; }
sub running { my ($n) = @_; return eventually { $pg->sql("select count(*) from pg_stat_activity where query ~ '^select pg_sleep' and state = 'active'") == $n } "$n statements run"; }

subtest 'only so many at once, in all pools together' => sub {
	@c = (report(), report(database => 'other'), map { report() } 1 .. 4);
	$_->send(PgWire::query('select pg_sleep(3000)')) for @c[0, 1];
	running(2);
	$_->send(PgWire::query('select 7')) for @c[2 .. 4];
	eventually { row('reports')->{waiting} == 3 } 'three wait';
	is(row('reports')->{active}, 2, 'two are active');
	$a = $c[5]->ask('select 1');
	is($a->{error}{C}, '53300', 'the next is refused');
	is($a->{error}{M}, 'query refused: too many requests wait under its limit', '... and told why');
	like($a->{error}{D}, qr/^The limit "reports" lets 2 at once have a server connection and 3 wait for it\.$/, '... with the numbers');
	is($a->{status}, 'I', 'its session lives');
	is($w->wire->value('select 5'), 5, 'others are served at once');
	is(row('reports')->{refused}, 1, 'it is counted');
	$c[1]->cancel;
	is($c[1]->until_ready->{error}{C}, '57014', 'one of them ends');
	is($_->until_ready->{rows}[0][0], 7, 'those who waited are served, one after another') for @c[2 .. 4];
	$c[0]->cancel;
	$c[0]->until_ready;
	eventually { row('reports')->{active} == 0 } 'a cancelled one is at rest';
	is(row('reports')->{active}, 0, 'all places are free again');
};
subtest 'by a tag, with a deadline of its own' => sub {
	my ($x, $y) = map { $w->wire } 1 .. 2;

	$x->send(PgWire::query("select pg_sleep(3000) /* route='%2Fexport%2Fall' */"));
	$a = $x->until_ready;
	is($a->{error}{C}, '57014', 'its deadline applies');
	like($a->{error}{D}, qr/^Deadline 400 ms/, '... as the rule says');
	is($y->ask("select pg_sleep(0.5) /* route='/home' */")->{error}, undef, 'another route has none');
	# (its own deadline may pass on the way)
	eventually { $x->ask("begin /* route='/export' */")->{status} eq 'T' } 'a transaction';
	pass('a transaction takes the place');
	$a = $y->ask("select 1 /* route='/export' */");
	is($a->{error}{C}, '57014', 'and keeps it between its statements');
	like($a->{error}{D}, qr/waited (?:[4-9]\d\d|\d{4,}) ms for a server connection, ran 0 ms/, 'waiting for the place counts');
	$x->ask('commit');
	becomes { ($y->ask("select 1 /* route='/export' */")->{rows}[0] // [])->[0] } 1, 'until it ends';
	becomes { $y->send(PgWire::extended("select 2 /* route='/export' */")); ($y->until_ready->{rows}[0] // [])->[0] } 2, 'in the extended protocol too';
};
subtest 'who waits may leave, be cancelled, or lose its server' => sub {
	$_->send(PgWire::query('select pg_sleep(3000)')) for @c[0, 1];
	running(2);
	$_->send(PgWire::query('select 8')) for @c[2, 3];
	eventually { row('reports')->{waiting} == 2 } 'two wait';
	$c[2]->cancel;
	is($c[2]->until_ready->{error}{C}, '57014', 'a cancel takes a waiting one out');
	undef $c[3];
	eventually { row('reports')->{waiting} == 0 } 'one that disconnects is gone';
	$c[2]->send(PgWire::query('select 9'));
	eventually { row('reports')->{waiting} == 1 } 'another waits';
	$pg->sql("select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^select pg_sleep' and datname = 'postgres' and state = 'active'");
	is($c[2]->until_ready->{rows}[0][0], 9, 'the place of a server that died is free');
	undef $c[0];
	undef $c[1];
	eventually { row('reports')->{active} == 0 } 'and so is that of a client that left';
};
subtest 'RELOAD changes the rules under those who wait' => sub {
	@c = map { report() } 1 .. 5;
	my $gate = $pg->psql_session;
	$gate->query('select pg_advisory_lock(1)');
	$_->send(PgWire::query('select pg_advisory_xact_lock_shared(1)')) for @c[0, 1];
	eventually { row('reports')->{active} == 2 } 'two run';
	$_->send(PgWire::query('select 10')) for @c[2, 3];
	eventually { row('reports')->{waiting} == 2 } 'two wait';
	$w->{ini} = "[limits]\nreports = application_name=report* max_active=4\n";
	$w->write_config;
	$w->reload;
	is($_->until_ready->{rows}[0][0], 10, 'a larger number lets them go') for @c[2, 3];
	is(scalar @{$w->console('show limits')}, 1, 'a rule that is gone is not shown');
	$w->{ini} = '';
	$w->write_config;
	$w->reload;
	$gate->query('select pg_advisory_unlock(1)');
	is($_->until_ready->{error}, undef, 'who runs keeps running') for @c[0, 1];
	is($c[4]->value('select 11'), 11, 'and nothing is limited any more');
};
subtest 'by the class that SHOW CLASSES tells' => sub {
	$w->set(admission => 1)->reload;
	my $s = $w->wire;

	$s->ask("select length('private'), 3 from pg_class limit 1") for 1 .. 2;
	my ($class) = grep { defined $_->{text} && $_->{text} =~ /from pg_class/ } @{$w->console('show classes')};
	is($class->{text}, 'select length(?), ? from pg_class limit ?', 'its text has no values');
	is($class->{calls}, 2, 'and its calls are counted');
	$w->{ini} = "[limits]\nthat = fingerprint=$class->{fingerprint} max_active=1\n";
	$w->write_config;
	$w->reload;
	my $t = $w->wire;
	$s->send(PgWire::query("begin; select length('x'), 4 from pg_class limit 1"));
	$s->until_ready;
	is($t->value("select length('ab'), 5 from pg_class limit 1"), 2, 'another class is not under it');
	is(row('that')->{active}, 0, 'nor is the statement that a transaction does not begin with');
	$s->ask('commit');
};
done_testing;
