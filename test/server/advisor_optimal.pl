# advisor_optimal.pl: small instances drawn at random: what is chosen is as good as the best of all sets of as many indexes.
use PgweirTest;
use AdvisorShop;

my $INSTANCES = 12;
my $MAX_INDEXES = 3;
my $pg = AdvisorShop::shop(conf => {max_parallel_workers_per_gather => 0, 'pgweir.advisor_min_saving' => 0});
# All of them cost the same with their constants and with parameters, by which the advisor knows them.
my @statements = (
	'select * from orders where customer_id = 5', 'select * from orders where region = 7 order by created desc limit 10', 'select * from orders where priority = 3 and region in (5, 6)',
	'select sum(total) from orders where priority in (20, 21, 22)', 'select max(created) from orders where region = 9',
	'select o.* from customers c join orders o on o.customer_id = c.id where c.score = 5', "select * from customers where name = 'Name 5'", 'select * from items where product_id = 77',
	'select * from products where stock = 5 and category_id = 31', 'select i.* from products p join items i on i.product_id = p.id where p.stock = 9',
	"select * from orders where coupon = 'coupon5'", 'select * from orders where customer_id in (1, 2, 3) and region = 5', 'select id from customers where city = $$city5$$ and score = 200');
my @candidates = ('orders(customer_id)', 'orders(region)', 'orders(region, created)', 'orders(priority)', 'orders(region, priority)', 'orders(priority, region)',
	'orders(priority) include (total)', 'customers(score)', 'customers(name)', 'items(product_id)', 'products(stock)', 'orders(coupon)', 'orders(customer_id, region)', 'customers(city, score)');

# A random number generator of our own: the same instances everywhere.
my $state;
sub random { my ($max) = @_; $state = ($state * 1103515245 + 12345) % 2147483648; return int($max * $state / 2147483648); }
sub quoted { return 'array[' . join(', ', map { "\$d\$$_\$d\$" } @_) . ']::text[]'; }

sub pick { my ($n, @from) = @_; my @picked; push @picked, splice @from, random(scalar @from), 1 while @picked < $n && @from; return @picked; }
sub bits { my ($mask) = @_; return sprintf('%b', $mask) =~ tr/1//; }

# What the statement costs with each set of at most so many of the candidates on its tables: mask => cost.
sub costs
{
	my ($statement, @ddl) = @_;
	my $relevant = 0;

	$relevant |= 1 << $_ for grep { my ($table) = $ddl[$_] =~ /on (?:public\.)?(\w+)/i; $statement =~ /\b$table\b/ } 0 .. $#ddl;
	my @masks = grep { !($_ & ~$relevant) && bits($_) <= $MAX_INDEXES } 0 .. (1 << @ddl) - 1;
	my $found = $pg->sql("select string_agg(m || ' ' || pgweir.whatif_cost(\$q\$$statement\$q\$, (select coalesce(array_agg(d.t), '{}') from unnest(" . quoted(@ddl) . ") with ordinality d(t, i) where m & (1 << (i::int - 1)) <> 0)), ' ')
		from unnest(array[" . join(',', @masks) . ']) m', timeout => 120);

	return {relevant => $relevant, cost => {split / /, $found}};
}

my ($worst, $sum) = (0, 0);
for my $seed (1 .. $INSTANCES)
{
	$state = $seed * 7919;
	my @asked = pick(5, @statements);
	$pg->sql('select pgweir.reset()');
	$pg->sql(join(";\n", map { ($_) x 2 } @asked), args => ['-o', '/dev/null']);
	# The time of a statement is its weight; $n stands where its constants were.
	my %ms = map { split /\|/ } split /\n/, $pg->sql(q(select regexp_replace(query, '\$\d+|\W', '', 'g'), sum(total_ms) from pgweir.slow_queries where query ~ '^select' and query !~ 'pgweir' group by 1));
	my @weight = map { my $key = s/'[^']*'|\$\$\w+\$\$|\b\d+\b|\W//gr; $ms{$key} // 0 } @asked;
	my @chosen = split /\n/, $pg->sql("set pgweir.advisor_max_indexes = $MAX_INDEXES; select ddl from pgweir.index_suggestions where action = 'create'");
	# With what was chosen among the candidates the best cannot be worse.
	my @ddl = (@chosen, map { "create index on $_" } pick(6, grep { my ($table) = /^(\w+)/; grep { /\b$table\b/ } @asked } @candidates));
	my @of = map { my $s = $_; costs($s, @ddl) } @asked;
	my ($ours, $best, $total, $best_set) = (0, 9e9, 0, 0);

	is((grep { !$_ } @weight), 0, "instance $seed: each statement was timed") or diag(join "\n", %ms, @asked);
	$total += $_ for @weight;
	for my $mask (grep { bits($_) <= $MAX_INDEXES } 0 .. (1 << @ddl) - 1)
	{
		my $left = 0;

		$left += $weight[$_] * $of[$_]{cost}{$mask & $of[$_]{relevant}} / $of[$_]{cost}{0} for 0 .. $#asked;
		($best, $best_set) = ($left, $mask) if $left < $best;
	}
	for my $i (0 .. $#asked)
	{
		$ours += $weight[$i] * $pg->sql("select pgweir.whatif_cost(\$q\$$asked[$i]\$q\$, " . (@chosen ? quoted(@chosen) : "'{}'") . ')') / $of[$i]{cost}{0};
	}
	my $gap = ($ours - $best) / $total;

	# It passes over what is not worth an index.
	cmp_ok($gap, '<=', 0.02, "instance $seed: as good as the best of all sets, to two hundredths of the work") or diag(join "\n", (map { sprintf '%.3f ms: %s', $weight[$_], $asked[$_] } 0 .. $#asked), @ddl, 'chosen:', @chosen, 'best:', @ddl[grep { $best_set & 1 << $_ } 0 .. $#ddl]);
	cmp_ok(scalar @chosen, '<=', $MAX_INDEXES, "instance $seed: with no more indexes");
	$worst = $gap if $gap > $worst;
	$sum += $gap;
}
diag(sprintf 'of the work, left beyond the best of all sets: %.2f %% at most, %.2f %% on the average of %d instances', 100 * $worst, 100 * $sum / $INSTANCES, $INSTANCES);
done_testing;
