--
-- What is counted, and as what.
--
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;
CREATE TABLE item (id integer PRIMARY KEY, name text, qty integer CHECK (qty >= 0));
CREATE FUNCTION item_count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM item); END $$;

-- A row for each class that this session ran; ids and times differ from run to run.  Since 17 DEALLOCATE is a class; since 18 lists
-- are squashed, and the query of a cursor is a class beside its DECLARE.
CREATE VIEW seen AS
SELECT replace(query, '($1 /*, ... */)', '($1, $2, $3)') AS query, toplevel AS top, calls, completed AS done, failed, rows
FROM pgweir.slow_queries
WHERE database = current_database() AND query !~ 'pgweir|seen|^RESET|^DEALLOCATE' AND (toplevel OR query !~ '^DECLARE')
ORDER BY query COLLATE "C", toplevel;

SELECT pgweir.reset();
-- constants
INSERT INTO item SELECT i, 'name ' || i, i FROM generate_series(1, 100) AS i;
SELECT name FROM item WHERE id = 1;
SELECT name FROM item WHERE id = 2;
SELECT name FROM item WHERE id = -3 AND name <> E'it''s' AND qty > 1.5e3;
SELECT count(*) FROM item WHERE id IN (1, 2, 3);
SELECT /* a comment */ 1 AS one, 'a;b' AS two; SELECT 2 AS next;
UPDATE item SET qty = qty + 1 WHERE id <= 10;
DELETE FROM item WHERE id > 90;
-- prepared: counted as what is executed, once per EXECUTE
PREPARE by_id(integer) AS SELECT name FROM item WHERE id = $1 AND qty > 0;
EXECUTE by_id(1);
EXECUTE by_id(2);
DEALLOCATE by_id;
-- utility commands, their literals hidden, too
CREATE ROLE regress_secret_role PASSWORD 'do not keep this';
DROP ROLE regress_secret_role;
SET work_mem TO '5MB';
-- EXPLAIN runs nothing
EXPLAIN (COSTS OFF) SELECT name FROM item WHERE qty = 7;
SELECT * FROM seen;

-- failures are executions, too
SELECT pgweir.reset();
SELECT 1 / (id - 1) FROM item WHERE id = 1;
SELECT 1 / (id - 1) FROM item WHERE id = 2;
INSERT INTO item VALUES (1, 'twice', 1);
INSERT INTO item VALUES (1000, 'negative', -1);
-- the end of the transaction takes the timeout along, in which a SET would have to be done itself
BEGIN;
SET LOCAL statement_timeout TO '300ms';
SELECT pg_sleep(3600);
ROLLBACK;
SELECT query, calls, completed, failed, statement_timeouts, integrity_errors, data_errors, errors,
	failed_ms > 0 AS with_time, CASE WHEN statement_timeouts > 0 THEN failed_ms >= 10 END AS over_10_ms, total_ms >= failed_ms AS in_total
FROM pgweir.slow_queries
WHERE database = current_database() AND failed > 0
ORDER BY query COLLATE "C";

-- a failure inside of a function is the function's only if it gets out
SET pgweir.track TO 'all';
SELECT pgweir.reset();
DO $$
BEGIN
	PERFORM 1 / (id - 1) FROM item WHERE id = 1;
EXCEPTION WHEN division_by_zero THEN
	NULL;
END $$;
SELECT item_count();
SELECT * FROM seen WHERE query !~ 'track';
-- the nesting level is what it was
SELECT pgweir.reset();
SELECT 3 AS three;
SELECT * FROM seen WHERE query ~ 'three';
SET pgweir.track TO 'top';
SELECT pgweir.reset();
SELECT item_count();
SELECT * FROM seen WHERE query !~ 'track';
SET pgweir.track TO 'none';
SELECT pgweir.reset();
SELECT item_count();
SELECT count(*) FROM seen;
RESET pgweir.track;

-- fetched in parts (a loop fetches ten, then fifty): one execution, the rows of all parts
SET pgweir.track TO 'all';
SELECT pgweir.reset();
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT id AS looped FROM item LOOP
		NULL;
	END LOOP;
	-- left early
	FOR r IN SELECT id AS left_early FROM item LOOP
		EXIT WHEN r.left_early > 1;
	END LOOP;
	-- left by an error between two parts
	FOR r IN SELECT id AS broken FROM item LOOP
		PERFORM 1 / (r.broken - 15) AS broke;
	END LOOP;
EXCEPTION WHEN division_by_zero THEN
	NULL;
END $$;
SELECT * FROM seen WHERE query !~ 'track|DO';

-- cursors in SQL: FETCH is what is counted
SELECT pgweir.reset();
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id LIMIT 10;
FETCH 3 FROM c;
FETCH 3 FROM c;
CLOSE c;
-- one left open when the transaction is aborted
DECLARE d CURSOR FOR SELECT id + 0 AS left_open FROM item ORDER BY id LIMIT 10;
FETCH 2 FROM d;
SELECT 1 / 0 AS boom;
ROLLBACK;
SELECT * FROM seen WHERE query !~ 'track';
RESET pgweir.track;

-- settings
SET pgweir.track_utility TO off;
SELECT pgweir.reset();
BEGIN;
SELECT item_count();
COMMIT;
SELECT * FROM seen WHERE query !~ 'track';
RESET pgweir.track_utility;

-- triggers that fire at the statement's end are part of it
CREATE FUNCTION slow_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER UPDATE ON item FOR EACH STATEMENT EXECUTE FUNCTION slow_trigger();
SELECT pgweir.reset();
UPDATE item SET qty = 0 WHERE id = 5;
SELECT query, calls, rows, min_ms >= 30 AS trigger_included, p50_ms >= 30 AS p50, max_ms <= total_ms + 0.001 AS sane
FROM pgweir.slow_queries WHERE query LIKE 'UPDATE item%';

-- buffers, WAL, temporary files, planning
CREATE TABLE wide AS SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 5000) AS i;
SET work_mem TO '64kB';
SELECT pgweir.reset();
SELECT count(*) FROM (SELECT filler, i FROM wide ORDER BY filler, i DESC) AS sorted;
UPDATE wide SET i = i + 1 WHERE i < 10;
SELECT query, shared_blks_hit + shared_blks_read > 300 AS blocks, temp_blks_written > 0 AS temp, wal_bytes > 0 AS wal,
	plans, plan_ms > 0 AS planned
FROM pgweir.slow_queries WHERE query ~ 'wide' AND query !~ 'pgweir'
ORDER BY query COLLATE "C";
RESET work_mem;

-- a long text is cut at a character, and said to be cut
SELECT pgweir.reset();
DO $$ BEGIN EXECUTE 'SELECT ''' || repeat('x', 10) || ''' AS "' || repeat('é', 20) || '"' || repeat(', 1', 1500); END $$;
SET pgweir.track TO 'all';
DO $$ BEGIN EXECUTE 'SELECT ''' || repeat('x', 10) || ''' AS "' || repeat('é', 20) || '"' || repeat(', 1', 1500); END $$;
RESET pgweir.track;
SELECT toplevel, calls, length(query) > 1000 AS long, query_truncated, query !~ ', 1' AS hidden FROM pgweir.slow_queries WHERE query ~ 'éé';

-- of two texts that differ by a byte before a long row of two-byte characters one is cut in the middle of a character: there it ends before it
SELECT pgweir.reset();
SET pgweir.track TO 'all';
DO $$ BEGIN EXECUTE 'SELECT 1 AS cut, 2 /* ' || repeat('é', 5000) || ' */'; EXECUTE 'SELECT 1 AS cut1, 2, 3 /* ' || repeat('é', 5000) || ' */'; END $$;
RESET pgweir.track;
SELECT calls, right(query, 2) AS ends, pg_size_bytes(current_setting('pgweir.query_size')) - octet_length(query) AS left_over, query_truncated
FROM pgweir.slow_queries WHERE query ~ 'AS cut' AND NOT toplevel ORDER BY left_over;

SELECT entries > 0 AS entries, capacity >= 100 AS capacity, evicted, dropped, since < clock_timestamp() AS since
FROM pgweir.info();
SELECT pgweir.reset();
SELECT count(*) FROM pgweir.slow_queries WHERE database = current_database() AND query !~ 'reset';

DROP VIEW seen;
DROP TABLE item, wide;
DROP FUNCTION item_count(), slow_trigger();
