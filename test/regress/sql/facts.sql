--
-- What else is known of a class: callers from comments, tables, kinds of plan, compilation, the time of each kind of failure.
--
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;
CREATE SCHEMA shop;
CREATE TABLE shop.item (id integer PRIMARY KEY, name text);
CREATE TABLE part (id integer PRIMARY KEY, item integer);
INSERT INTO shop.item SELECT i, 'name ' || i FROM generate_series(1, 100) AS i;
CREATE VIEW shop.names AS SELECT name FROM shop.item;
CREATE VIEW callers AS
SELECT tags, calls, rows, failed FROM pgweir.slow_queries_by_caller
WHERE database = current_database() AND query ~ 'FROM shop.item' AND query !~ 'pgweir'
ORDER BY tags NULLS FIRST, calls DESC;

-- one class, split by the callers that comments name
SELECT pgweir.reset();
SELECT name FROM shop.item WHERE id = 1;
SELECT name FROM shop.item WHERE id = 2 /*application='web',controller='orders',traceparent='00-1-2-01'*/;
SELECT name FROM shop.item WHERE id = 3 /*controller='orders',application='web',traceparent='00-3-4-01'*/;
/*application:web,controller:users,line:app.rb:17*/ SELECT name FROM shop.item WHERE id = 4;
SELECT name FROM shop.item WHERE id = 5 /* route='%2Fitem%2F%3Aid', action='it\'s "quoted" \\' */;
SELECT name FROM shop.item WHERE id = 6 /* no tags in here */;
SELECT name FROM shop.item WHERE id = 7 /* unknown='x', application='' */;
SELECT name FROM shop.item WHERE id = 8 AND name = '/*application=''none''*/';
SELECT name FROM shop.item WHERE id = 1 / (id - 9) AND id = 9 /*application='web',controller='fails'*/;
SELECT * FROM callers;
SELECT query, calls FROM pgweir.slow_queries
WHERE database = current_database() AND query ~ 'FROM shop.item' AND query !~ 'pgweir' ORDER BY query COLLATE "C";
-- what is nested was done for the same caller
SET pgweir.track TO 'all';
SELECT pgweir.reset();
DO $$ BEGIN PERFORM name FROM shop.item WHERE id = 10; END $$ /*job='nightly'*/;
SELECT tags, calls FROM pgweir.slow_queries_by_caller WHERE NOT toplevel AND query ~ 'shop.item';
RESET pgweir.track;
-- another list of keys
SET pgweir.tags TO 'team, line';
SELECT pgweir.reset();
SELECT name FROM shop.item WHERE id = 1 /*application='web',line='17',team='a'*/;
SELECT * FROM callers;
SET pgweir.tags TO '';
SELECT pgweir.reset();
SELECT name FROM shop.item WHERE id = 1 /*application='web',line='17',team='a'*/;
SELECT * FROM callers;
SET pgweir.tags TO 'a_name_of_more_than_thirty_one_bytes';
RESET pgweir.tags;

-- tables, from the plan: those behind a view, too
SELECT pgweir.reset();
SELECT count(*) FROM shop.names;
SELECT count(*) FROM part JOIN shop.item ON part.item = item.id;
INSERT INTO part SELECT 1, id FROM shop.item WHERE id = 1;
SELECT 1 AS nothing;
SELECT query, relations, relids = ARRAY(SELECT r::regclass::oid FROM unnest(relations) WITH ORDINALITY AS u(r, n) ORDER BY n) AS same
FROM pgweir.slow_queries WHERE database = current_database() AND query ~ 'part|shop|nothing' AND query !~ 'pgweir'
ORDER BY query COLLATE "C";

-- plans of prepared statements: five custom ones, then the generic one
SELECT pgweir.reset();
PREPARE by_id(integer) AS SELECT name FROM shop.item WHERE id = $1;
EXECUTE by_id(1);
EXECUTE by_id(2);
EXECUTE by_id(3);
EXECUTE by_id(4);
EXECUTE by_id(5);
EXECUTE by_id(6);
EXECUTE by_id(7);
SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE name = 'by_id';
SELECT calls, plans, custom_plan_calls, generic_plan_calls FROM pgweir.slow_queries WHERE query ~ '^PREPARE by_id';
SET plan_cache_mode TO force_custom_plan;
EXECUTE by_id(8);
SELECT calls, plans, custom_plan_calls, generic_plan_calls FROM pgweir.slow_queries WHERE query ~ '^PREPARE by_id';
RESET plan_cache_mode;
DEALLOCATE by_id;

-- compilation
SELECT pgweir.reset();
SET jit TO on;
SET jit_above_cost TO 0;
SELECT sum(id + 1) AS compiled FROM shop.item;
RESET jit_above_cost;
RESET jit;
SELECT (jit_calls > 0) = pg_jit_available() AS told, (jit_functions > 0 AND jit_emission_ms > 0) = pg_jit_available() AS counted
FROM pgweir.slow_queries WHERE query ~ 'AS compiled' AND query !~ 'pgweir';

-- the time of each kind of failure
SELECT pgweir.reset();
SET statement_timeout TO '20ms';
SELECT pg_sleep(5);
SET statement_timeout TO 0;
SELECT pg_sleep(0.001);
SELECT 1 / (id - 1) FROM shop.item WHERE id = 1;
SELECT query, calls, completed_ms > 0 AS completed, statement_timeout_ms = failed_ms AS timeout,
	data_error_ms = failed_ms AS data, errors_ms = data_error_ms AS errors,
	abs(total_ms - completed_ms - failed_ms) < 0.001 AS sum
FROM pgweir.slow_queries WHERE database = current_database() AND failed > 0 ORDER BY query COLLATE "C";

DROP VIEW callers;
DROP TABLE part;
DROP SCHEMA shop CASCADE;
