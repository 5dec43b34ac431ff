# Each cause is injected once into the real chain, and once nothing: the diagnosis comes to name that one alone, and nobody when nothing is
# wrong.  On a machine with more to do than it can, others may be named for a moment: `make scenarios` counts that as wrong.
use strict;
use warnings;
use Test::More;

my $top = $ENV{PGWEIR_TOP};
my @missing = grep { !-x "$top/build/scenario/$_" } qw(product load relay delay);
plan skip_all => "not built: build/scenario/@missing (test/scenario/build)" if @missing;

# How long it takes is measured by `make scenarios`; here a loaded machine may take its time.
local @ENV{qw(CAUSE RUNS JOBS LIMIT WARM HOLD)} = ('1leak 2starved 3loss 4index 5deploy 6timeout 7nginx low', 1, $ENV{SCENARIO_JOBS} // 3, 60, 12, 1);
my @said = split /\n/, `$^X $top/test/scenario/scenarios 2>&1`;
my %result = map { my %pair = /(\w+)=(\S+)/g; ($pair{scenario} => \%pair) } grep { /^result/ } @said;

for my $scenario (split ' ', $ENV{CAUSE})
{
	my ($skip) = grep { /^skip scenario=\Q$scenario\E:/ } @said;
	my $r = $result{$scenario};

	SKIP: {
		skip $skip, 1 if $skip;
		ok($r && ($r->{cause} ? $r->{seconds} ne '-' : $r->{named} eq '0'), "$scenario: " . ($r ? $r->{cause} ? "alone after $r->{seconds} s, named $r->{named}" : "named $r->{named}" : 'no result'))
		  or diag join "\n", @said;
	}
}
done_testing;
