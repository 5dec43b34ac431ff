-- == statements ==

CREATE FUNCTION pgweir.statements(
	with_text boolean,
	OUT userid oid,
	OUT dbid oid,
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
	OUT wal_records bigint,
	OUT wal_fpi bigint,
	OUT wal_bytes bigint,
	OUT completed bigint,
	OUT failed bigint,
	OUT failed_ms double precision,
	OUT cancelled bigint,
	OUT statement_timeouts bigint,
	OUT lock_timeouts bigint,
	OUT deadline_missed bigint,
	OUT deadlocks bigint,
	OUT terminated bigint,
	OUT data_errors bigint,
	OUT integrity_errors bigint,
	OUT serialization_failures bigint,
	OUT access_errors bigint,
	OUT resource_errors bigint,
	OUT other_errors bigint,
	OUT recent_calls bigint,
	OUT recent_ms double precision,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT query_truncated boolean,
	OUT top_wait text,
	OUT waits text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_statements_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pgweir.statements(boolean) IS
'what is known of each statement class; ids and texts of others only for members of pg_read_all_stats';

CREATE VIEW pgweir.slow_queries AS
SELECT s.userid, pg_get_userbyid(s.userid) AS username, d.datname AS database, s.queryid, s.toplevel, s.query,
	s.calls, s.total_ms, s.mean_ms, s.min_ms, s.max_ms, s.stddev_ms, s.p50_ms, s.p95_ms, s.p99_ms, s.plans, s.plan_ms,
	s.rows, s.shared_blks_hit, s.shared_blks_read, s.shared_blks_dirtied, s.shared_blks_written,
	s.local_blks_hit, s.local_blks_read, s.local_blks_dirtied, s.local_blks_written,
	s.temp_blks_read, s.temp_blks_written, s.blk_read_ms, s.blk_write_ms, s.wal_records, s.wal_fpi, s.wal_bytes,
	s.completed, s.failed, s.failed_ms, s.cancelled, s.statement_timeouts, s.lock_timeouts, s.deadline_missed,
	s.deadlocks, s.terminated,
	s.data_errors + s.integrity_errors + s.serialization_failures + s.access_errors + s.resource_errors
		+ s.other_errors AS errors,
	s.data_errors, s.integrity_errors, s.serialization_failures, s.access_errors, s.resource_errors, s.other_errors,
	s.recent_calls, s.recent_ms, s.first_seen, s.last_seen, s.query_truncated,
	s.top_wait, s.waits
FROM pgweir.statements(true) AS s
LEFT JOIN pg_database AS d ON d.oid = s.dbid
WHERE s.calls > 0
ORDER BY s.total_ms DESC;
COMMENT ON VIEW pgweir.slow_queries IS
'statement classes by the time they took, failed executions and their time included';
GRANT SELECT ON pgweir.slow_queries TO PUBLIC;
