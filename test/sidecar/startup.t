# What a client may say at startup and send afterwards: the keys that decide about it.
use PgweirTest;

my $pg = server(preload => '');
my ($w, $c, $d, $a);

sub weir { my (%settings) = @_; $w->stop if $w; return $w = sidecar($pg, settings => {default_pool_size => 2, %settings}); }
sub refused { my (%params) = @_; my $f = $w->wire(params => \%params, may_fail => 1)->{failed} // {C => '-', M => 'none'}; return "$f->{C} $f->{M}"; }

# --- application_name_add_host ---
weir(application_name_add_host => 1);
$c = $w->wire(params => {application_name => 'shop'});
my $port = $c->{socket}->sockport;
is($c->value('show application_name'), "shop - 127.0.0.1:$port", 'application_name_add_host appends the client to the name');
is($w->wire->value('show application_name') =~ /^app - 127\.0\.0\.1:\d+$/ ? 1 : 0, 1, '... also where there is none');
is($c->ask("set application_name = 'mine'")->{error}, undef, '... at login only');
is($c->value('show application_name'), 'mine', '... SET is not changed');

# --- disable_pqexec ---
weir(disable_pqexec => 1);
$c = $w->wire;
$c->send(PgWire::extended('select 1'));
is($c->until_ready->{rows}[0][0], 1, 'disable_pqexec leaves the extended protocol alone');
$a = $c->ask('select 1');
is("$a->{error}{S} $a->{error}{M}", 'FATAL PQexec disallowed', '... and refuses the simple one');

# --- max_packet_size ---
weir(max_packet_size => 5000);
$c = $w->wire;
is($c->value("select length('" . 'x' x 4000 . "')"), 4000, 'a message below max_packet_size passes');
$a = $c->ask("select length('" . 'x' x 6000 . "')");
is($a->{error}{S}, 'FATAL', 'a larger one ends the session');
is($w->wire->value('select 2'), 2, '... and no other');

# --- ignore_startup_parameters ---
weir();
is(refused(extra_float_digits => 3), '08P01 unsupported startup parameter: extra_float_digits', 'an unknown startup parameter is refused');
is(refused(options => '-c work_mem=1MB'), '08P01 unsupported startup parameter in options: work_mem', '... also in options');
is(refused(options => '-x'), '08P01 unsupported options startup parameter: only \'-c config=val\' and \'--config=val\' are allowed', '... other options are not understood');
weir(ignore_startup_parameters => 'extra_float_digits, work_mem');
is(refused(extra_float_digits => 3, options => '-c work_mem=1MB'), '- none', 'ignore_startup_parameters lets it in');
is($w->wire(params => {options => '-c work_mem=1MB'})->value('show work_mem'), '4MB', '... and drops it');
weir(ignore_startup_parameters => 'options');
is(refused(options => '--anything=1 -x'), '- none', 'options may be ignored as a whole');

# --- track_extra_parameters ---
weir(default_pool_size => 1, track_extra_parameters => 'IntervalStyle, default_transaction_read_only');
$c = $w->wire(params => {IntervalStyle => 'iso_8601'});
$d = $w->wire;
is($c->value("select interval '1 day'"), 'P1D', 'a tracked parameter of the startup packet counts');
is($d->value("select interval '1 day'"), '1 day', '... for its client alone, on one server');
$d->ask("set IntervalStyle = 'sql_standard'");
is($c->value("select interval '1 day'") . $d->value("select interval '1 day'"), 'P1D1 0:00:00', '... and follows SET');
is($c->{params}{IntervalStyle}, 'iso_8601', '... the client is told its value');
$d->ask("set default_transaction_read_only = on") if $pg->major >= 14;
is($c->value('show default_transaction_read_only') . $d->value('show default_transaction_read_only'), 'offon', 'further ones by track_extra_parameters, where the server reports them');
weir(default_pool_size => 1, track_extra_parameters => '');
$c = $w->wire; $d = $w->wire;
$c->ask("set IntervalStyle = 'iso_8601'");
is($d->value("select interval '1 day'"), 'P1D', 'what is not tracked stays with the server');

# --- client limits ---
weir(max_client_conn => 2);
my @two = map { $w->wire } 1, 2;
is(refused(), '08P01 no more connections allowed (max_client_conn)', 'max_client_conn');
weir(max_user_client_connections => 1);
$c = $w->wire;
is(refused(), '08P01 client connections exceeded (max_user_client_connections)', 'max_user_client_connections');
weir(max_db_client_connections => 1);
$c = $w->wire;
is(refused(), '08P01 client connections exceeded (max_db_client_connections)', 'max_db_client_connections');
$c->disconnect;
eventually { refused() eq '- none' } 'room again';
pass('... until somebody leaves');

# --- pool_mode ---
weir(pool_mode => 'statement');
$c = $w->wire;
is($c->value('select 3'), 3, 'statement mode');
$a = $c->ask('begin');
is($a->{errors}[-1]{M}, 'transaction blocks not allowed in statement pooling mode', '... has no transactions');
done_testing;
