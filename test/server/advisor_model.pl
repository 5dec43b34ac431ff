# advisor_model.pl: hypothetical indexes are about as large and as cheap as real ones.
use PgweirTest;
use AdvisorShop;

my $pg = AdvisorShop::shop(conf => {max_parallel_workers_per_gather => 0, maintenance_work_mem => '64MB'});

$pg->sql(<<'SQL');
create function explained(statement text) returns float8 language plpgsql as $$
declare plan json;
begin
	execute 'explain (format json) ' || statement into plan;
	return plan -> 0 -> 'Plan' ->> 'Total Cost';
end $$;
-- The what-if cost and size, then those of the real index, which goes again.
create function compared(statement text, ddl text, out whatif float8, out real_cost float8, out size_guess int8, out size_real int8)
language plpgsql as $$
declare made name;
begin
	whatif := pgweir.whatif_cost(statement, array[ddl]);
	size_guess := pgweir.whatif_size(ddl);
	execute regexp_replace(ddl, 'index on', 'index made_for_real on');
	real_cost := explained(statement);
	select sum(pg_relation_size(relid)) into size_real from pg_partition_tree('made_for_real');
	if size_real is null then size_real := pg_relation_size('made_for_real'); end if;
	drop index made_for_real;
end $$;
SQL

# 'upper': the columns depend on each other, which statistics of single columns do not tell; the size guessed may be too large, never too small.
my @cases = (
	['orders(customer_id)', 'select * from orders where customer_id = 5'],
	['orders(id, customer_id)', 'select id, customer_id from orders where id between 100 and 5000'],
	['orders(status)', "select * from orders where status = 'open'"],
	['orders(status, created)', "select * from orders where status = 'open' and created > '2025-05-01'"],
	['orders(created)', 'select * from orders order by created limit 50'],
	['orders(total)', 'select * from orders where total = 5'],
	['orders(priority)', 'select count(*) from orders where priority < 50'],
	['orders(region, priority)', 'select * from orders where region = 5', 'upper'],
	['orders(shipped_at)', 'select * from orders where shipped_at is null'],
	['orders(coupon)', "select * from orders where coupon = 'coupon5'"],
	['orders(note)', "select * from orders where note = 'x'"],
	['orders(customer_id) include (total)', 'select total from orders where customer_id between 5 and 500'],
	["orders(created) where status = 'open'", "select * from orders where status = 'open' and created > '2025-03-01'"],
	["orders(region) where status = 'open'", 'select * from open_orders where region = 50', 'upper'],
	['orders(customer_id) where coupon is not null', 'select * from customers c where exists (select 1 from orders o where o.customer_id = c.id and o.coupon is not null)'],
	['orders(customer_id)', 'select o.* from customers c join orders o on o.customer_id = c.id where c.id < 20'],
	['orders(customer_id) with (fillfactor = 50)', 'select * from orders where customer_id = 5'],
	['items(product_id)', 'select sum(price) from items where product_id between 5 and 300'],
	['items(product_id, quantity)', 'select i.* from items i join products p on p.id = i.product_id where p.id < 30', 'upper'],
	['items(returned)', 'select * from items where returned'],
	['items(price)', 'select * from items where price = 5'],
	['customers(email)', "select * from customers where email = 'user5\@example.org'"],
	['customers(name)', "select * from customers where name = 'Name 5'"],
	['customers(city)', "select * from customers where city like 'city12%'"],
	['customers(country)', "select * from customers where country = 'AB'"],
	['customers(mood)', "select count(*) from customers where mood = 'happy'"],
	['customers(birthday, score)', "select * from customers where birthday = '1960-01-01'"],
	['events(device)', 'select * from events where device = 17'],
	['totals(total)', 'select * from totals where total = 100'],
);
my ($worst_cost, $worst_size) = (0, 0);

for my $case (@cases)
{
	my ($on, $statement, $upper) = @$case;
	my ($whatif, $real, $guess, $size) = split /\|/, $pg->sql("select * from compared(\$q\$$statement\$q\$, \$d\$create index on $on\$d\$)");
	my $cost_off = abs($whatif - $real) / $real;
	my $size_off = abs($guess - $size) / $size;

	cmp_ok($cost_off, '<', 0.10, "cost with $on: $statement") or diag("what-if $whatif, real $real");
	$worst_cost = $cost_off if $cost_off > $worst_cost;
	if ($upper)
	{
		cmp_ok($guess, '>=', 0.85 * $size, "size of $on is not guessed too small");
		next;
	}
	# One page more or less does not count in small ones.
	ok($size_off < 0.15 || abs($guess - $size) <= 3 * 8192, "size of $on") or diag("guessed $guess, real $size");
	$worst_size = $size_off if $size_off > $worst_size;
}
diag(sprintf '%d indexes: cost at most %.1f %% off, size at most %.1f %%', scalar @cases, 100 * $worst_cost, 100 * $worst_size);
done_testing;
