# Started as root: refused without another user, with one it becomes that user.  The tests have no root: uid_wrapper makes the process believe that it
# is, and remembers who it becomes.
use PgweirTest;

my ($wrapper) = grep { -e } glob '/usr/lib/*/libuid_wrapper.so /usr/lib*/libuid_wrapper.so';

plan skip_all => 'uid_wrapper is not installed (test/deps check)' unless $wrapper;
plan skip_all => 'a program with sanitizers takes no other library first' if PgweirTest::is_sanitized();
my $pg = server(preload => '');
my $program = PgweirTest::top() . '/sidecar/pgweir';
my ($name) = grep { (getpwnam $_)[2] } qw(nobody daemon bin); # one that is not root
my $uid = getpwnam $name;

sub as_root { my ($w, $code) = @_; local @ENV{qw(LD_PRELOAD UID_WRAPPER UID_WRAPPER_ROOT)} = ($wrapper, 1, 1); return $code->(); }
sub outcome { my ($w) = @_; my ($code, $log) = as_root($w, sub { $w->start_fails }); return "$code $log"; }
my $w = sidecar($pg, start => 0);

like(outcome($w), qr/^1 .*should not run as root: give a user with -u or the setting user/s, 'root alone is refused');
$w = sidecar($pg, start => 0, settings => {user => 'no_such_user'});
like(outcome($w), qr/^1 .*user "no_such_user" does not exist/s, 'an unknown user');
$w = sidecar($pg, start => 0, settings => {user => 'root'});
like(outcome($w), qr/^1 .*should not run as root/s, 'root as the user');
for (["the setting", {user => $name}, []], ['-u', {}, ['-u', $name]], ['-u before the setting', {user => 'no_such_user'}, ['-u', $name]])
{
	my ($what, $settings, $args) = @$_;
	my $one = sidecar($pg, start => 0, settings => {%$settings, unix_socket_dir => PgweirTest::new_dir('u')}, args => $args);

	as_root($one, sub { $one->start });
	is($one->sql('select 1'), 1, "with $what it starts and serves");
	like($one->log, qr/running as user $name \($uid\)/, '... as that user');
	is($one->stop, 0, '... and ends');
}
done_testing;
