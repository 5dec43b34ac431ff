-- == statements ==

CREATE FUNCTION pgweir.statements(
	with_text boolean,
	since timestamptz DEFAULT NULL,
	until timestamptz DEFAULT NULL,
	OUT userid oid,
	OUT username name,
	OUT database name,
	OUT queryid bigint,
	OUT toplevel boolean,
	OUT query text,
	OUT calls bigint,
	OUT total_ms double precision,
	OUT mean_ms double precision,
	OUT min_ms double precision,
	OUT max_ms double precision,
	OUT stddev_ms double precision,
	OUT p50_ms double precision,
	OUT p95_ms double precision,
	OUT p99_ms double precision,
	OUT plans bigint,
	OUT plan_ms double precision,
	OUT generic_plan_calls bigint,
	OUT custom_plan_calls bigint,
	OUT rows bigint,
	OUT shared_blks_hit bigint,
	OUT shared_blks_read bigint,
	OUT shared_blks_dirtied bigint,
	OUT shared_blks_written bigint,
	OUT local_blks_hit bigint,
	OUT local_blks_read bigint,
	OUT local_blks_dirtied bigint,
	OUT local_blks_written bigint,
	OUT temp_blks_read bigint,
	OUT temp_blks_written bigint,
	OUT blk_read_ms double precision,
	OUT blk_write_ms double precision,
	OUT local_blk_read_ms double precision,
	OUT local_blk_write_ms double precision,
	OUT temp_blk_read_ms double precision,
	OUT temp_blk_write_ms double precision,
	OUT wal_records bigint,
	OUT wal_fpi bigint,
	OUT wal_bytes bigint,
	OUT jit_calls bigint,
	OUT jit_functions bigint,
	OUT jit_generation_ms double precision,
	OUT jit_inlining_ms double precision,
	OUT jit_optimization_ms double precision,
	OUT jit_emission_ms double precision,
	OUT completed bigint,
	OUT completed_ms double precision,
	OUT failed bigint,
	OUT failed_ms double precision,
	OUT cancelled bigint,
	OUT cancelled_ms double precision,
	OUT statement_timeouts bigint,
	OUT statement_timeout_ms double precision,
	OUT lock_timeouts bigint,
	OUT lock_timeout_ms double precision,
	OUT deadline_missed bigint,
	OUT deadline_missed_ms double precision,
	OUT deadlocks bigint,
	OUT deadlock_ms double precision,
	OUT terminated bigint,
	OUT terminated_ms double precision,
	OUT errors bigint,
	OUT errors_ms double precision,
	OUT data_errors bigint,
	OUT data_error_ms double precision,
	OUT integrity_errors bigint,
	OUT integrity_error_ms double precision,
	OUT serialization_failures bigint,
	OUT serialization_failure_ms double precision,
	OUT access_errors bigint,
	OUT access_error_ms double precision,
	OUT resource_errors bigint,
	OUT resource_error_ms double precision,
	OUT other_errors bigint,
	OUT other_error_ms double precision,
	OUT recent_calls bigint,
	OUT recent_ms double precision,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT query_truncated boolean,
	OUT top_wait text,
	OUT waits text[],
	OUT relids oid[],
	OUT relations text[],
	OUT dbid oid)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_statements_1_0'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pgweir.statements(boolean, timestamptz, timestamptz) IS
'what is known of each statement class, or what it did between two instants, by the time it took; ids and texts of others only for members of '
	'pg_read_all_stats';

-- The function gives its rows in this view's order, and nothing here adds to them: see the head of views/statements.c.
CREATE VIEW pgweir.slow_queries AS
SELECT s.* FROM pgweir.statements(true) AS s WHERE s.calls > 0;
COMMENT ON VIEW pgweir.slow_queries IS
'statement classes by the time they took, failed executions and their time included';
GRANT SELECT ON pgweir.slow_queries TO PUBLIC;

CREATE FUNCTION pgweir.slow_queries_between(since timestamptz, until timestamptz) RETURNS SETOF pgweir.slow_queries
AS 'MODULE_PATHNAME', 'pgweir_slow_queries_between_1_0'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pgweir.slow_queries_between(timestamptz, timestamptz) IS
'slow_queries of what ran between two instants, in steps of ten seconds, as far back as pgweir.info() says';

CREATE VIEW pgweir.slow_queries_last_minute AS
SELECT * FROM pgweir.slow_queries_between(clock_timestamp() - interval '1 minute', NULL);
COMMENT ON VIEW pgweir.slow_queries_last_minute IS 'slow_queries of the last minute, up to ten seconds late';
GRANT SELECT ON pgweir.slow_queries_last_minute TO PUBLIC;

CREATE VIEW pgweir.slow_queries_last_5_minutes AS
SELECT * FROM pgweir.slow_queries_between(clock_timestamp() - interval '5 minutes', NULL);
COMMENT ON VIEW pgweir.slow_queries_last_5_minutes IS 'slow_queries of the last five minutes, up to ten seconds late';
GRANT SELECT ON pgweir.slow_queries_last_5_minutes TO PUBLIC;

CREATE VIEW pgweir.slow_queries_last_hour AS
SELECT * FROM pgweir.slow_queries_between(clock_timestamp() - interval '1 hour', NULL);
COMMENT ON VIEW pgweir.slow_queries_last_hour IS 'slow_queries of the last hour, up to ten seconds late';
GRANT SELECT ON pgweir.slow_queries_last_hour TO PUBLIC;

CREATE FUNCTION pgweir.callers(
	OUT userid oid,
	OUT dbid oid,
	OUT queryid bigint,
	OUT toplevel boolean,
	OUT tags text,
	OUT calls bigint,
	OUT total_ms double precision,
	OUT mean_ms double precision,
	OUT p95_ms double precision,
	OUT max_ms double precision,
	OUT rows bigint,
	OUT failed bigint,
	OUT failed_ms double precision,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_callers_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pgweir.callers() IS
'statement classes split by the callers that comments name; tags are an object of JSON';

CREATE VIEW pgweir.slow_queries_by_caller AS
SELECT c.userid, pg_get_userbyid(c.userid) AS username, d.datname AS database, c.queryid, c.toplevel,
	c.tags::jsonb AS tags, s.query,
	c.calls, c.total_ms, c.mean_ms, c.p95_ms, c.max_ms, c.rows, c.failed, c.failed_ms, c.first_seen, c.last_seen
FROM pgweir.callers() AS c
LEFT JOIN pgweir.statements(true) AS s USING (userid, dbid, queryid, toplevel)
LEFT JOIN pg_database AS d ON d.oid = c.dbid
WHERE c.calls > 0
ORDER BY c.total_ms DESC;
COMMENT ON VIEW pgweir.slow_queries_by_caller IS
'statement classes split by whom the comments of the statements name: application, controller, route and what else pgweir.tags lists';
GRANT SELECT ON pgweir.slow_queries_by_caller TO PUBLIC;
