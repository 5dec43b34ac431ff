# Clients that have not proved who they are: bounded in number, and they keep nobody out.
use PgweirTest;

my $pg = server(preload => '');
my %auth = (postgres => 'right', admin => 'right');

sub silent { my ($w) = @_; return PgWire->open_socket(port => $w->{port}); }
sub comes_in { my ($w) = @_; my $c = PgWire->connect(port => $w->{port}, user => 'postgres', password => 'right', database => 'postgres', may_fail => 1); return $c->{failed} ? "$c->{failed}{C} $c->{failed}{M}" : $c->value(q{select 'in'}); }
sub said { my ($c) = @_; my $e = $c->until_ready->{error} // {}; return join ' ', map { $e->{$_} // '' } qw(S C M); }
sub login_clients { my ($w) = @_; return (grep { $_->{list} eq 'login_clients' } @{$w->console('show lists', password => 'right')})[0]{items}; }

subtest 'the one that has been silent for longest makes room' => sub {
	my $w = sidecar($pg, auth => \%auth, settings => {auth_type => 'scram-sha-256', max_login_clients => 5, tcp_defer_accept => 0});
	my @mute = map { silent($w) } 1 .. 5;

	eventually { login_clients($w) >= 4 } 'the silent ones have arrived';
	$mute[$_]->send(PgWire::startup(user => 'postgres', database => 'postgres')) for 2, 3;
	$mute[$_]->next_message for 2, 3;
	is(comes_in($w), 'in', 'a good client comes in all the same');
	is(said($mute[0]), 'FATAL 53300 too many clients are logging in (max_login_clients)', 'the first of the others was sent away, and told why');
	is(comes_in($w), 'in', 'the next good one too') for 1 .. 10;
	my @more = map { silent($w) } 1 .. 20;
	eventually { login_clients($w) <= 6 } 'never more than that many';
	is(comes_in($w), 'in', 'twenty more do not keep anybody out');
	eventually { (() = $w->log =~ /too many clients are logging in/g) >= 20 } 'the log';
	pass('each time the log says so');
	$w->set(max_login_clients => 0);
	$w->signal('HUP');
	$w->wait_log(qr/max_login_clients changed from 5 to 0/);
	my $mark = $w->log_mark;
	push @more, map { silent($w) } 1 .. 20;
	eventually { login_clients($w) >= 20 } '0 means no limit';
	unlike($w->log_since($mark), qr/too many clients/, '... and nobody is sent away');
};
subtest 'silent clients do not use up max_client_conn' => sub {
	my $w = sidecar($pg, auth => \%auth, settings => {auth_type => 'scram-sha-256', max_client_conn => 4, tcp_defer_accept => 0});
	my @mute = map { silent($w) } 1 .. 9; # more than there are places, which nobody has taken yet
	my @in;

	eventually { login_clients($w) >= 9 } 'the silent ones have arrived';

	for (1 .. 4)
	{
		push @in, PgWire->connect(port => $w->{port}, user => 'postgres', password => 'right', database => 'postgres', may_fail => 1);
		ok(!$in[-1]{failed}, 'one more in the place of a silent one');
	}
	is(said($mute[0]), 'FATAL 53300 no more connections allowed (max_client_conn)', 'the silent one hears why');
	is(comes_in($w), '08P01 no more connections allowed (max_client_conn)', 'those who are in are not sent away');
	is($_->value('select 1'), 1, 'all are served') for @in;
};
subtest 'a storm of passwords in clear' => sub {
	my $w = sidecar($pg, settings => {auth_type => 'scram-sha-256', max_client_conn => 400, max_login_clients => 4000, client_login_timeout => 600},
		auth => {(map { ("u$_" => "p$_") } 1 .. 40), postgres => 'right'}, databases => {postgres => 'user=postgres'});
	my $good = PgWire->connect(port => $w->{port}, user => 'postgres', password => 'right', database => 'postgres');
	my @starting = map { [$_, silent($w)] } map { ($_, $_, $_) } 1 .. 40;

	# three logins of each user at once; every third gives a wrong password
	$_->[1]->send(PgWire::startup(user => "u$_->[0]", database => 'postgres')) for @starting;
	my @outcome;
	for my $i (0 .. $#starting)
	{
		my ($user, $c) = @{$starting[$i]};
		my $ok = eval { $c->log_in(user => "u$user", password => $i % 3 == 2 ? 'wrong' : "p$user"); 1 };

		push @outcome, $ok && !$c->{failed} ? 'in' : $c->{failed}{C} // $@;
	}
	is(scalar(grep { $_ eq 'in' } @outcome), 80, 'who knows the password is in');
	is(scalar(grep { $_ eq '28P01' } @outcome), 40, 'who does not hears 28P01');
	is($good->value('select 1'), 1, 'and traffic goes on');
};
done_testing;
