-- Statements that fail are counted: how often, for how long, and as what.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages TO warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgweir;
SELECT no_plan();

CREATE TEMP TABLE parent (id int PRIMARY KEY);
CREATE TEMP TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY IMMEDIATE, CHECK (id < 100));
SELECT pgweir.reset();

-- Runs SQL n times at top level is not to be had inside of one statement: functions are, and are tracked with 'all'.
SET LOCAL pgweir.track TO 'all';
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE FUNCTION counted(pattern text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind)
	FROM pgweir.slow_queries AS q,
		LATERAL (VALUES ('completed', completed), ('data', data_errors), ('integrity', integrity_errors), ('access', access_errors),
			('serialization', serialization_failures), ('resource', resource_errors), ('other', other_errors),
			('lock timeout', lock_timeouts), ('timeout', statement_timeouts), ('cancelled', cancelled), ('deadlock', deadlocks)) AS k (kind, n)
	WHERE q.query ~ pattern AND NOT q.toplevel AND n > 0
$$;

SELECT is(try('INSERT INTO child VALUES (1)'), '23503', 'a foreign key fails');
SELECT is(try('INSERT INTO child VALUES (1000)'), '23514', 'a check fails');
SELECT is(counted('^INSERT INTO child'), 'integrity 2', 'both are integrity errors of one class');
SELECT is(try('INSERT INTO parent VALUES (1)'), '00000', 'a good row');
SELECT is(try('INSERT INTO parent VALUES (1)'), '23505', 'and the same again');
SELECT is(counted('^INSERT INTO parent'), 'completed 1, integrity 1', 'one of two failed');
SELECT is(try('SELECT 1 / (id - 1) FROM parent'), '22012', 'division by zero');
SELECT is(counted('^SELECT \$\d+ / \(id'), 'data 1', 'is a data error');
SELECT is(try('DO $d$ BEGIN RAISE serialization_failure; END $d$'), '40001', 'a serialization failure');
SELECT is(counted('^DO .* serialization'), 'serialization 1', 'is one');
SELECT is(try('DO $d$ BEGIN RAISE lock_not_available; END $d$'), '55P03', 'a lock timeout');
SELECT is(counted('^DO .* lock_not'), 'lock timeout 1', 'is one');
SELECT is(try('DO $d$ BEGIN RAISE deadlock_detected; END $d$'), '40P01', 'a deadlock');
SELECT is(counted('^DO .* deadlock'), 'deadlock 1', 'is one');
SELECT is(try('DO $d$ BEGIN RAISE out_of_memory; END $d$'), '53200', 'out of memory');
SELECT is(counted('^DO .* out_of_memory'), 'resource 1', 'is a resource error');
SELECT is(try('DO $d$ BEGIN RAISE EXCEPTION ''what'' USING ERRCODE = ''XX001''; END $d$'), 'XX001', 'something strange');
SELECT is(counted('^DO .*XX001'), 'other 1', 'is another error');
-- rights are checked before the first row is looked for
CREATE TABLE forbidden (id int);
CREATE ROLE regress_nobody;
SET LOCAL ROLE regress_nobody;
SELECT is(try('SELECT id FROM public.forbidden'), '42501', 'a table that one may not read');
RESET ROLE;
SELECT is(counted('^SELECT id FROM public.forbidden'), 'access 1', 'is an access error');
SELECT ok((SELECT failed_ms > 0 FROM pgweir.slow_queries WHERE query ~ '^INSERT INTO child'), 'failures have a time');
SELECT is_empty('SELECT query FROM pgweir.slow_queries WHERE failed <> cancelled + statement_timeouts + lock_timeouts + deadline_missed
	+ deadlocks + terminated + errors OR completed + failed <> calls OR failed_ms > total_ms + 0.001', 'the kinds add up');

SELECT * FROM finish();
ROLLBACK;
