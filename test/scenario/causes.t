# Each cause is injected once into the real chain, and once nothing: the diagnosis comes to name that one alone, and nobody when nothing is
# wrong.  On a machine with more to do than it can, others may be named for a moment: `make scenarios` counts that as wrong.  What was usual before
# the injection fades, so that a run that was disturbed then cannot come to it any more: it is made again.
use strict;
use warnings;
use Test::More;

my $top = $ENV{PGWEIR_TOP};
my @missing = grep { !-x "$top/build/scenario/$_" } qw(product load relay delay);
plan skip_all => "not built: build/scenario/@missing (test/scenario/build)" if @missing;

# How long it takes is measured by `make scenarios`; here a loaded machine may take its time.
local @ENV{qw(RUNS JOBS LIMIT WARM HOLD CALM)} = (1, $ENV{SCENARIO_JOBS} // 3, 60, 12, 1, 45);
my @scenarios = qw(1leak 2starved 3loss 4index 5deploy 6timeout 7nginx low);
my @left = @scenarios;
my (@said, %result);

sub came_to_it { my ($r) = @_; return $r && $r->{seconds} ne '-'; }

for my $go (1 .. 3)
{
	local $ENV{CAUSE} = join ' ', @left;
	my @now = split /\n/, `$^X $top/test/scenario/scenarios 2>&1`;

	push @said, @now;
	%result = (%result, map { my %pair = /(\w+)=(\S+)/g; ($pair{scenario} => \%pair) } grep { /^result/ } @now);
	@left = grep { my $s = $_; !came_to_it($result{$s}) && !grep { /^skip scenario=\Q$s\E:/ } @said } @left or last;
	diag("not yet: @left") if $go < 3;
}
for my $scenario (@scenarios)
{
	my ($skip) = grep { /^skip scenario=\Q$scenario\E:/ } @said;
	my $r = $result{$scenario};

	SKIP: {
		skip $skip, 1 if $skip;
		ok(came_to_it($r), "$scenario: " . ($r ? ($r->{cause} ? 'alone' : 'nobody') . " after $r->{seconds} s, named $r->{named}" : 'no result'))
		  or diag join "\n", @said;
	}
}
done_testing;
