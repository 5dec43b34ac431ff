# AdvisorShop.pm: the database that the index advisor's tests ask about: a shop with the same rows in every run.
#
#   AdvisorShop::create($pg);                  # tables, rows, statistics and visibility map in $pg's database
#   my $pg = AdvisorShop::shop(conf => {...});  # a server with it, as PgweirTest's server(): copied from one that is made once in a run
#
# What is advised in it depends on the statements alone: there is no limit of time at which a slow machine stops a search, and no execution is kept
# for having been slow there.
package AdvisorShop;

use strict;
use warnings;
use Carp;
use Fcntl ':flock';

my $SCHEMA = <<'SQL';
create extension pgweir;
create schema other;
create type mood as enum ('sad', 'ok', 'happy');

create table customers (
	id int primary key, email text not null, name varchar(60), city text collate "C", country char(2), active bool not null,
	score int, birthday date, created timestamptz not null, mood mood);
insert into customers
select i, 'user' || i || '@example.org', 'Name ' || (i * 7919) % 40000, 'city' || (i * 31) % 900, chr(65 + i % 26) || chr(65 + i % 7),
	i % 50 <> 0, (i * 13) % 1000, date '1950-01-01' + i % 20000, timestamptz '2024-01-01 00:00+00' + i * interval '5 minutes',
	(array['sad', 'ok', 'happy'])[1 + i % 3]::mood
from generate_series(1, 40000) i;

create table orders (
	id bigint primary key, customer_id int not null, status text not null, created timestamptz not null, total numeric(10, 2),
	priority int, shipped_at timestamptz, coupon text, note text, region int, local_time timestamp);
insert into orders
select i, (i * 7919::bigint) % 40000 + 1, case when i % 100 = 0 then 'open' when i % 100 < 10 then 'paid' else 'done' end,
	timestamptz '2025-01-01 00:00+00' + i * interval '1 minute', (i * 37) % 10000 / 10.0, (i * 61) % 1000,
	case when i % 200 <> 0 then timestamptz '2025-01-02 00:00+00' + i * interval '1 minute' end,
	case when i % 500 = 0 then 'coupon' || (i / 500) % 100 end, 'note ' || md5(i::text), (i * 17) % 2000,
	timestamp '2025-01-01 00:00' + i * interval '1 minute'
from generate_series(1, 200000) i;

create table items (
	order_id bigint not null, line int not null, product_id int not null, quantity int not null, price numeric(10, 2), returned bool,
	primary key (order_id, line));
insert into items
select i / 2 + 1, i % 2, (i * 104729::bigint) % 20000 + 1, 1 + i % 5, (i * 37) % 1000 / 10.0, i % 300 = 0
from generate_series(0, 399999) i;

create table products (
	id int primary key, sku text not null unique, category_id int not null, price numeric(10, 2), name text, stock int,
	tags text[], attrs jsonb);
insert into products
select i, 'SKU-' || lpad(i::text, 8, '0'), (i * 31) % 400, (i * 37) % 5000 / 10.0, 'Product ' || md5(i::text), (i * 13) % 3000,
	array['common', 'tag' || i % 500, 'tag' || i % 700], jsonb_build_object('size', i % 400, 'color', 'c' || i % 30)
from generate_series(1, 20000) i;
create index products_category_price on products (category_id, price);

create table tiny (id int, kind text);
insert into tiny select i, 'kind' || i % 5 from generate_series(1, 200) i;

create table unseen (id int, kind int, filler text);
insert into unseen select i, i % 1000, repeat('x', 50) from generate_series(1, 50000) i;

create table other."Odd Name" (id int primary key, "Customer Id" int, "select" int);
insert into other."Odd Name" select i, i % 5000, i % 7000 from generate_series(1, 60000) i;

create table events (at date not null, device int not null, kind int not null, value float8) partition by range (at);
create table events_2025_1 partition of events for values from ('2025-01-01') to ('2025-02-01');
create table events_2025_2 partition of events for values from ('2025-02-01') to ('2025-03-01');
create table events_2025_3 partition of events for values from ('2025-03-01') to ('2025-04-01');
insert into events select date '2025-01-01' + i % 90, (i * 7919) % 3000, i % 50, i from generate_series(1, 120000) i;

create view open_orders as select * from orders where status = 'open';
create materialized view totals as select customer_id, sum(total) as total, count(*) as n from orders group by customer_id;

SQL

sub create
{
	my ($pg) = @_;

	$pg->sql($SCHEMA, timeout => 600);
	# The sample is the whole table, so that no run differs by the luck of the draw.
	$pg->sql('alter system set default_statistics_target = 1500');
	$pg->sql('select pg_reload_conf()');
	$pg->sql("vacuum analyze $_") for (qw(customers orders items products tiny events totals), 'other."Odd Name"');
	$pg->sql('alter system reset default_statistics_target');
	$pg->sql('select pg_reload_conf()');
	return;
}

# A database of it in which each table has a hundredth of the rows.
sub create_small
{
	my ($pg, $db) = @_;
	my $schema = $SCHEMA =~ s/generate_series\((\d), (\d+?)(?:00|99)?\)/generate_series($1, $2)/gr;

	$pg->sql("create database $db");
	$pg->sql("$schema; analyze customers, orders, items, products, tiny, events, totals, other.\"Odd Name\"", dbname => $db);
	return;
}

# The data directory of a server that has it.
sub template
{
	my $dir = "$ENV{PGWEIR_TMP}/shop";
	my $pg;

	open my $lock, '>', "$dir.lock" or croak "$dir.lock: $!";
	flock $lock, LOCK_EX;
	return $dir if -e "$dir/PG_VERSION";
	$pg = PgweirTest::server(conf => {autovacuum => 'off', maintenance_work_mem => '64MB'});
	create($pg);
	$pg->stop or croak 'the server of the template did not stop';
	rename $pg->{data}, $dir or croak "$dir: $!";
	return $dir;
}

sub shop
{
	my (%o) = @_;

	return PgweirTest::server(%o, template => template(), conf => {autovacuum => 'off', 'pgweir.advisor_time_limit' => 0, 'pgweir.slow_threshold' => -1,
		'pgweir.slow_factor' => 0, %{$o{conf} // {}}});
}

1;
