--
-- What classes did between two instants.
--
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;
CREATE TABLE mark (name text, at timestamptz);
-- A step is of the time in which its middle lies: the next one is made long enough to have it after this mark.
CREATE FUNCTION snap(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
	ended timestamptz;
BEGIN
	IF NOT pgweir.snapshot() THEN
		RETURN false;
	END IF;
	ended := clock_timestamp();
	INSERT INTO mark VALUES (name, ended);
	PERFORM pg_sleep(2 * extract(epoch FROM ended - began) + 0.01);
	RETURN true;
END $$;
CREATE FUNCTION between_marks(a text, b text, OUT query text, OUT calls bigint, OUT rows bigint, OUT failed bigint, OUT p99 boolean, OUT times boolean)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT query, calls, rows, failed, p99_ms > 0 AND p99_ms <= max_ms, total_ms > 0 AND min_ms <= mean_ms AND mean_ms <= max_ms * 1.0001
	FROM pgweir.slow_queries_between((SELECT at FROM mark WHERE name = a), (SELECT at FROM mark WHERE name = b))
	WHERE database = current_database() AND query ~ 'AS (first|second|both)'
	ORDER BY query COLLATE "C"
$$;

SELECT pgweir.reset();
SELECT snap('begin');
SELECT 1 AS first;
SELECT 1 AS both, 2;
SELECT snap('middle');
SELECT 1 AS second, 2, 3 FROM generate_series(1, 10) OFFSET 5;
SELECT 1 AS both, 2;
SELECT 1 AS both, 2;
SELECT 1 / (g - 1) AS second FROM generate_series(1, 1) AS g;
SELECT snap('end');
SELECT * FROM between_marks('begin', 'middle');
SELECT * FROM between_marks('middle', 'end');
SELECT * FROM between_marks('begin', 'end');
SELECT * FROM between_marks('end', NULL);
-- nulls are the beginning and the end
SELECT sum(calls) FROM pgweir.slow_queries_between(NULL, NULL) WHERE query ~ 'AS both';
SELECT query, calls FROM pgweir.slow_queries_last_minute WHERE query ~ 'AS both'
UNION ALL SELECT query, calls FROM pgweir.slow_queries_last_5_minutes WHERE query ~ 'AS both'
UNION ALL SELECT query, calls FROM pgweir.slow_queries_last_hour WHERE query ~ 'AS both';
SELECT history_since BETWEEN since - interval '1 s' AND clock_timestamp() AS told FROM pgweir.info();
-- the same figures as since the reset
SELECT count(*) FROM pgweir.slow_queries_between(NULL, NULL) AS h JOIN pgweir.slow_queries AS s USING (userid, queryid, toplevel, database)
WHERE s.query ~ 'AS (first|second|both)' AND database = current_database()
	AND (h.calls, h.completed, h.failed, h.rows, h.shared_blks_hit, h.min_ms, h.max_ms, h.p50_ms, h.p99_ms) IS NOT DISTINCT FROM
	(s.calls, s.completed, s.failed, s.rows, s.shared_blks_hit, s.min_ms, s.max_ms, s.p50_ms, s.p99_ms)
	AND abs(h.total_ms - s.total_ms) < 0.001 AND abs(h.stddev_ms - s.stddev_ms) < 0.001;
-- a reset forgets
SELECT pgweir.reset();
SELECT count(*) FROM pgweir.slow_queries_between(NULL, NULL) WHERE query ~ 'AS (first|second|both)';
SELECT snap('after');
SELECT count(*) FROM pgweir.slow_queries_between(NULL, NULL) WHERE query ~ 'AS (first|second|both)';
DROP FUNCTION snap(text), between_marks(text, text);
DROP TABLE mark;
