-- schema.sql: the product service's tables and some 1e6 rows.  One index is missing: the open orders of a customer.
-- Each `\echo` is a line of progress.
\set ON_ERROR_STOP 1
SET synchronous_commit = off;

\echo products, 100,000 rows
CREATE TABLE products (
	product_id integer PRIMARY KEY,
	category_id integer NOT NULL,
	name text NOT NULL,
	description text NOT NULL,
	price_cents integer NOT NULL
);
INSERT INTO products
SELECT i, 1 + i % 1000, 'product ' || i, repeat('a fine thing. ', 8), 100 + (i * 7919) % 100000
FROM generate_series(1, 100000) AS i;
CREATE INDEX products_by_category ON products (category_id, price_cents);

\echo inventory, 300,000 rows
CREATE TABLE inventory (
	product_id integer NOT NULL,
	warehouse_id integer NOT NULL,
	quantity integer NOT NULL
) WITH (fillfactor = 80);
INSERT INTO inventory
SELECT p, w, 1000000 FROM generate_series(1, 100000) AS p, generate_series(1, 3) AS w;
ALTER TABLE inventory ADD PRIMARY KEY (product_id, warehouse_id);

\echo orders, 600,000 rows
CREATE TABLE orders (
	order_id bigint GENERATED ALWAYS AS IDENTITY,
	customer_id integer NOT NULL,
	product_id integer NOT NULL,
	status text NOT NULL,
	quantity integer NOT NULL,
	total_cents integer NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO orders (customer_id, product_id, status, quantity, total_cents, created_at)
SELECT 1 + (i::bigint * 7919) % 50000, 1 + (i::bigint * 104729) % 100000,
	(ARRAY['open', 'paid', 'shipped', 'delivered', 'delivered', 'delivered'])[1 + i % 6],
	1 + i % 3, 100 + i % 5000, now() - (600000 - i) * interval '10 s'
FROM generate_series(1, 600000) AS i;
ALTER TABLE orders ADD PRIMARY KEY (order_id);

\echo statistics
VACUUM (ANALYZE) products, inventory, orders;
