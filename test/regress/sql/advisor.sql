-- The advisor's SQL surface on small tables.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;
SET pgweir.advisor_min_table_pages = 1;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA advised;
CREATE TABLE advised."Order" (id int PRIMARY KEY, customer int NOT NULL, state text, at timestamptz);
INSERT INTO advised."Order" SELECT i, i % 500, 'state' || i % 3, timestamptz '2025-01-01' + i * interval '1 min' FROM generate_series(1, 20000) i;
VACUUM ANALYZE advised."Order";

-- One statement.
SELECT action, table_name, ddl, statements, gain_pct > 50 AS gains, cost_after < cost_before AS cheaper, load_pct, size_bytes > 0 AS sized, confidence
FROM pgweir.advise_statement('SELECT * FROM advised."Order" WHERE customer = 7');
SELECT ddl FROM pgweir.advise_statement('SELECT * FROM advised."Order" WHERE customer = $1 ORDER BY at DESC LIMIT 5');
SELECT count(*) FROM pgweir.advise_statement('SELECT * FROM advised."Order" WHERE id = 7');
SELECT count(*) FROM pgweir.advise_statement(NULL);

-- Names: the reader's search_path, and one that is not taken.
SELECT ddl FROM pgweir.advise_statement('SELECT * FROM "Order" WHERE customer = 7');
SET search_path = advised;
CREATE TABLE "Order_customer_idx" (a int);
SELECT ddl FROM pgweir.advise_statement('SELECT * FROM "Order" WHERE customer = 7');
RESET search_path;

-- What-if.
SELECT pgweir.whatif_cost('SELECT * FROM advised."Order" WHERE customer = 7')
	> 2 * pgweir.whatif_cost('SELECT * FROM advised."Order" WHERE customer = 7', ARRAY['CREATE INDEX ON advised."Order" (customer)']) AS cheaper;
SELECT pgweir.whatif_cost('SELECT * FROM advised."Order" WHERE id = 7')
	< pgweir.whatif_cost('SELECT * FROM advised."Order" WHERE id = 7', hide => ARRAY['advised."Order_pkey"'::regclass]) AS dearer_without;
SELECT pgweir.whatif_size('CREATE INDEX ON advised."Order" (customer)') BETWEEN 100000 AND 400000 AS sized;
SELECT pgweir.whatif_cost(NULL) IS NULL AS nothing;
SELECT pgweir.whatif_cost('SELECT 1', ARRAY['CREATE INDEX ON advised."Order" (nothing)']);
SELECT pgweir.whatif_cost('SELECT 1', '{CREATE INDEX ON advised.missing (a)}');
SELECT pgweir.whatif_cost('SELECT 1', ARRAY['CREATE INDEX ON advised."Order" (random())']);
SELECT pgweir.whatif_cost('SELECT 1', '{SELECT 1}');
SELECT pgweir.whatif_cost('CHECKPOINT');
SELECT pgweir.whatif_cost('');
SELECT pgweir.whatif_cost('SELECT FROM');

-- What was wrapped counts as what is inside.
SELECT count(*) FROM unnest(ARRAY['EXPLAIN %s', 'DECLARE c CURSOR FOR %s', 'CREATE TABLE t AS %s', 'COPY (%s) TO STDOUT', 'PREPARE p AS %s']) w,
	pgweir.advise_statement(format(w, 'SELECT * FROM advised."Order" WHERE customer = 7'));
-- Constants that the grammar wants, replaced by parameters.
SELECT ddl FROM pgweir.advise_statement('SELECT extract($1 FROM at) FROM advised."Order" WHERE customer = $2 AND at > now() - interval $3');

-- A table without statistics, and one that is only here.
CREATE TABLE advised.fresh AS SELECT i AS a FROM generate_series(1, 5000) i;
SELECT action, ddl, confidence FROM pgweir.advise_statement('SELECT * FROM advised.fresh WHERE a = 7');
CREATE TEMP TABLE temporary AS SELECT i AS a FROM generate_series(1, 5000) i;
ANALYZE temporary;
SELECT count(*) FROM pgweir.advise_statement('SELECT * FROM temporary WHERE a = 7');

-- The view has the function's columns; ids are stable.
SELECT count(*) = (SELECT count(DISTINCT id) FROM pgweir.index_suggestions) AS distinct_ids FROM pgweir.index_suggestions;
SELECT a.id = b.id AS stable
FROM pgweir.advise_statement('SELECT * FROM advised."Order" WHERE customer = 7') a, pgweir.advise_statement('SELECT * FROM advised."Order" WHERE customer = 8') b;

-- Who may.
SELECT p.oid::regprocedure AS function, has_function_privilege('pg_read_all_stats', p.oid, 'EXECUTE') AS stats, has_function_privilege('pg_monitor', p.oid, 'EXECUTE') AS monitor,
	p.proacl::text !~ '[{,]=' AS not_public
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'pgweir'::regnamespace AND p.proname IN ('advise_statement', 'explain_advice', 'suggest_indexes', 'whatif_cost', 'whatif_size')
ORDER BY p.proname;

\set VERBOSITY terse
\set QUIET on
SET client_min_messages = warning;
DROP SCHEMA advised CASCADE;
