#!/usr/bin/perl
# cancel.pl: the stress test behind `make stress-cancel`: does a cancel ever hit the wrong statement?
#   STRESS_SECONDS  how long (30)     STRESS_CLIENTS  (12, before a pool of 3/4 of that)     STRESS_SEED  (the time)
use PgweirTest;

my $seconds = $ENV{STRESS_SECONDS} || 30;
my $clients = $ENV{STRESS_CLIENTS} || 12;
my $seed = $ENV{STRESS_SEED} || time;
my $pg = server(preload => '', conf => {max_connections => 100, log_min_messages => 'fatal', log_min_error_statement => 'fatal'});
# Without admission: those that would be refused are the ones that race.
my $w = sidecar($pg, settings => {default_pool_size => int($clients * 3 / 4), admission => 0, max_client_conn => 1000, log_connections => 0, log_disconnections => 0, log_pooler_errors => 0});
my ($status, $out, $err) = run_program([PgweirTest::top() . '/build/stress-cancel', $w->conninfo, $seconds, $clients, $seed], timeout => $seconds + 120);

print "seed $seed: $out";
print substr($err, 0, 2000);
is($status, 0, 'no cancel hit a statement it was not meant for');
is($w->sql('select 1'), 1, 'the pool serves on');
eventually { $w->pool('postgres', 'postgres')->{sv_active} == 0 } 'no server connection is left in use';
done_testing;
