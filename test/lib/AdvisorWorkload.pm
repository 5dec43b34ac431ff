# AdvisorWorkload.pm: a generated workload for the index advisor: star joins over tables with skew, the same in every run.
#
#   AdvisorWorkload::create($pg, 1);                  # 13 tables; the number multiplies their rows
#   my @statements = AdvisorWorkload::statements(7, 10);   # ten of each of the shapes, with parameters by the seed 7: [shape, SQL]
package AdvisorWorkload;

use strict;
use warnings;

# Rows of the tables; `skewed` columns take few values often and many values rarely.
my $SCHEMA = <<'SQL';
create table regions (id int primary key, name text, zone int);
insert into regions select i, 'region ' || i, i % 5 from generate_series(1, 50) i;
create table stores (id int primary key, region_id int, name text, opened date, kind text);
insert into stores select i, 1 + skewed(i, 50), 'store ' || i, date '2000-01-01' + i, (array['shop', 'mall', 'web'])[1 + i % 3] from generate_series(1, 2000) i;
create table categories (id int primary key, parent_id int, name text);
insert into categories select i, i / 10, 'category ' || i from generate_series(1, 500) i;
create table suppliers (id int primary key, country char(2), name text, rating int);
insert into suppliers select i, chr(65 + i % 26) || chr(65 + i % 3), 'supplier ' || i, i % 100 from generate_series(1, 5000) i;
create table products (id int primary key, category_id int, supplier_id int, sku text, name text, price numeric(10, 2), active bool);
insert into products select i, 1 + skewed(i, 500), 1 + skewed(i * 3, 5000), 'S' || md5(i::text), 'product ' || i, (i * 37) % 10000 / 10.0, i % 40 <> 0
from generate_series(1, 20000 * :scale) i;
create table customers (id int primary key, region_id int, email text, name text, segment int, created timestamptz, referrer int);
insert into customers select i, 1 + skewed(i, 50), 'user' || i || '@example.org', 'Name ' || md5(i::text), skewed(i, 200), timestamptz '2024-01-01 00:00+00' + i * interval '9 minutes', (i * 7919) % 30000
from generate_series(1, 40000 * :scale) i;
create table promotions (id int primary key, code text, starts date, ends date);
insert into promotions select i, 'P' || md5(i::text), date '2025-01-01' + i % 300, date '2025-01-10' + i % 300 from generate_series(1, 1000) i;
create table employees (id int primary key, store_id int, name text, hired date);
insert into employees select i, 1 + i % 2000, 'employee ' || i, date '2010-01-01' + i % 4000 from generate_series(1, 20000) i;
create table sales (id bigint primary key, customer_id int not null, product_id int not null, store_id int not null, employee_id int, promotion_id int,
	sold timestamptz not null, quantity int, amount numeric(12, 2), state text);
insert into sales select i, 1 + skewed(i * 7, 40000), 1 + skewed(i * 11, 20000), 1 + skewed(i * 13, 2000), 1 + (i * 17) % 20000, case when i % 20 = 0 then 1 + (i * 19) % 1000 end,
	timestamptz '2025-01-01 00:00+00' + i * interval '2 minutes', 1 + i % 7, (i * 37) % 50000 / 10.0, case when i % 500 = 0 then 'disputed' when i % 40 = 0 then 'open' else 'closed' end
from generate_series(1, 200000 * :scale) i;
create table returns (id bigint primary key, sale_id bigint not null, reason int, returned timestamptz);
insert into returns select i, (i * 7919::bigint) % 200000 + 1, skewed(i, 30), timestamptz '2025-01-05 00:00+00' + i * interval '11 minutes' from generate_series(1, 40000 * :scale) i;
create table visits (id bigint primary key, customer_id int, page text, at timestamp, duration_ms int, session text);
insert into visits select i, 1 + skewed(i * 5, 40000), '/p/' || skewed(i, 3000), timestamp '2025-01-01 00:00' + i * interval '90 seconds', (i * 31) % 60000, md5((i / 6)::text)
from generate_series(1, 150000 * :scale) i;
create table stock (warehouse_id int, product_id int, quantity int, checked date, primary key (warehouse_id, product_id));
insert into stock select w, p, (w * p) % 500, date '2025-01-01' + p % 200 from generate_series(1, 4) w, generate_series(1, 20000 * :scale) p;
create table prices (product_id int, valid_from date, price numeric(10, 2));
insert into prices select 1 + i % 20000, date '2023-01-01' + (i / 20000) * 90, (i * 41) % 10000 / 10.0 from generate_series(1, 100000 * :scale) i;
SQL

my @TABLES = qw(regions stores categories suppliers products customers promotions employees sales returns visits stock prices);

# Shapes: name => sub(rand) gives a statement.  %d and the like are filled with random values of the columns' domains.
sub n { my ($r, $max) = @_; return 1 + int $r->($max); }
sub day { my ($r, $days) = @_; return sprintf "date '2025-01-01' + %d", int $r->($days); }
my @SHAPES = (
	[customer_sales => sub { my $r = shift; 'select s.*, p.name from sales s join products p on p.id = s.product_id where s.customer_id = ' . n($r, 40000) . ' order by s.sold desc limit 20' }],
	[store_day => sub { my $r = shift; my $d = day($r, 270); 'select count(*), sum(amount) from sales where store_id = ' . n($r, 2000) . " and sold >= $d and sold < $d + 7" }],
	[region_star => sub { my $r = shift; my $d = day($r, 270); "select c.segment, sum(s.amount) from sales s join customers c on c.id = s.customer_id join stores t on t.id = s.store_id where t.region_id = " . n($r, 50) . " and s.sold >= $d and s.sold < $d + 3 group by c.segment" }],
	[supplier_star => sub { my $r = shift; 'select p.id, count(*) from suppliers u join products p on p.supplier_id = u.id join sales s on s.product_id = p.id where u.id = ' . n($r, 5000) . ' group by p.id' }],
	[category_products => sub { my $r = shift; 'select * from products where category_id = ' . (50 + n($r, 400)) . ' and active order by price limit 30' }],
	[product_by_sku => sub { my $r = shift; "select * from products where sku = 'S" . n($r, 20000) . "'" }],
	[customer_by_email => sub { my $r = shift; "select * from customers where lower(email) = 'user" . n($r, 40000) . "\@example.org'" }],
	[open_sales => sub { "select * from sales where state = 'disputed' order by sold limit 50" }],
	[promotion_use => sub { my $r = shift; 'select m.code, count(*) from sales s join promotions m on m.id = s.promotion_id where s.promotion_id = ' . n($r, 1000) . ' group by m.code' }],
	[employee_month => sub { my $r = shift; 'select e.name, sum(s.amount) from employees e join sales s on s.employee_id = e.id where e.store_id = ' . n($r, 2000) . ' group by e.name' }],
	[returns_of_sale => sub { my $r = shift; 'select * from returns where sale_id = ' . n($r, 200000) }],
	[returned_reason => sub { my $r = shift; my $d = day($r, 250); "select r.reason, count(*) from returns r join sales s on s.id = r.sale_id where r.returned >= $d and r.returned < $d + 2 group by r.reason" }],
	[never_returned => sub { my $r = shift; 'select s.id from sales s where s.customer_id = ' . n($r, 40000) . ' and not exists (select from returns r where r.sale_id = s.id)' }],
	[visits_of_customer => sub { my $r = shift; 'select * from visits where customer_id = ' . n($r, 40000) . ' order by at desc limit 10' }],
	[session => sub { my $r = shift; "select page, at from visits where session = '" . n($r, 9) . "e' order by at" }],
	[page_views => sub { my $r = shift; "select count(*), avg(duration_ms) from visits where page = '/p/" . (300 + n($r, 2500)) . "'" }],
	[visits_on_day => sub { my $r = shift; 'select count(distinct customer_id) from visits where at::date = ' . day($r, 150) }],
	[last_visits => sub { 'select max(at) from visits' }],
	[price_history => sub { my $r = shift; 'select * from prices where product_id = ' . n($r, 20000) . ' order by valid_from' }],
	[price_on => sub { my $r = shift; 'select distinct on (product_id) product_id, price from prices where product_id between ' . n($r, 19000) . ' and ' . n($r, 50) . ' + 19000 and valid_from <= ' . day($r, 100) . ' order by product_id, valid_from desc limit 20' }],
	[stock_of_product => sub { my $r = shift; 'select sum(quantity) from stock where product_id = ' . n($r, 20000) }],
	[referred => sub { my $r = shift; 'select b.id, b.name from customers a join customers b on b.referrer = a.id where a.id = ' . n($r, 30000) }],
	[segment_or_region => sub { my $r = shift; 'select count(*) from customers where segment = ' . (100 + n($r, 90)) . ' or referrer = ' . n($r, 30000) }],
	[recent_customers => sub { "select * from customers where region_id in (31, 37, 41) order by created desc limit 25" }],
	[stores_of_kind => sub { my $r = shift; "select t.*, r.name from stores t join regions r on r.id = t.region_id where t.kind = 'web' and r.zone = " . n($r, 4) }],
	[sell => sub { my $r = shift; 'insert into sales select max(id) + 1, ' . n($r, 40000) . ', ' . n($r, 20000) . ', ' . n($r, 2000) . ", 1, null, now(), 1, 1, 'open' from sales" }],
	[restock => sub { my $r = shift; 'update stock set quantity = quantity + 1, checked = current_date where warehouse_id = 1 and product_id = ' . n($r, 20000) }],
);

# A random number generator of our own: the same numbers everywhere.
sub generator { my ($state) = @_; return sub { my ($max) = @_; $state = ($state * 1103515245 + 12345) % 2147483648; return $max * ($state / 2147483648); }; }

sub shapes { return map { $_->[0] } @SHAPES; }

sub statements
{
	my ($seed, $each) = @_;
	my $random = generator($seed);

	return map { my ($name, $make) = @$_; map { [$name, $make->($random)] } 1 .. $each } @SHAPES;
}

sub create
{
	my ($pg, $scale) = @_;

	# The square of a uniform number is small often.
	$pg->sql('create extension if not exists pgweir; create function skewed(i bigint, n int) returns int language sql immutable as $$ select ((((i * 2654435761) % 4294967296)::float8 / 4294967296) ^ 2 * n)::int % n $$; '
		. ($SCHEMA =~ s/:scale/$scale/gr), timeout => 300);
	$pg->sql(join '', map { "vacuum analyze $_;" } @TABLES);
	return;
}

1;
