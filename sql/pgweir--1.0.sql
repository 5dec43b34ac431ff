\echo Use "CREATE EXTENSION pgweir" to load this file. \quit

--
-- While this script runs, nothing but pg_catalog is searched, so that each function and operator named without a schema
-- is the server's own; views keep it that way, functions in SQL fix their search_path.  Our own are named with theirs.
--
SET LOCAL search_path TO pg_catalog, pg_temp;

-- == control ==

CREATE FUNCTION pgweir.check_preload() RETURNS boolean
AS 'MODULE_PATHNAME', 'pgweir_check_preload_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.check_preload() IS
'true when the library was preloaded; otherwise an error that tells how';

CREATE FUNCTION pgweir.reset() RETURNS void
AS 'MODULE_PATHNAME', 'pgweir_reset_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pgweir.reset() FROM PUBLIC;
COMMENT ON FUNCTION pgweir.reset() IS
'forgets all that was counted and reported';

CREATE FUNCTION pgweir.flush() RETURNS integer
AS 'MODULE_PATHNAME', 'pgweir_flush_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pgweir.flush() IS
'merges the counts of this session; reading the views does so, too';

CREATE FUNCTION pgweir.info(
	OUT capacity bigint,
	OUT entries bigint,
	OUT evicted bigint,
	OUT dropped bigint,
	OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_info_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pgweir.info() IS
'the statement store: places, classes in them, classes evicted since the last reset, executions that could not be counted';

CREATE FUNCTION pgweir.comment_deadline(statement text) RETURNS double precision
AS 'MODULE_PATHNAME', 'pgweir_comment_deadline_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.comment_deadline(text) IS
'the deadline in milliseconds that a comment pgweir_deadline=''...'' of a statement asks for';

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
	OUT query_truncated boolean)
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
	s.recent_calls, s.recent_ms, s.first_seen, s.last_seen, s.query_truncated
FROM pgweir.statements(true) AS s
LEFT JOIN pg_database AS d ON d.oid = s.dbid
WHERE s.calls > 0
ORDER BY s.total_ms DESC;
COMMENT ON VIEW pgweir.slow_queries IS
'statement classes by the time they took, failed executions and their time included';
GRANT SELECT ON pgweir.slow_queries TO PUBLIC;

-- == reports of sidecars ==

CREATE FUNCTION pgweir.report(reporter text, version integer, payload jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'pgweir_report_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pgweir.report(text, integer, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.report(text, integer, jsonb) IS
'takes in the report of a sidecar; GRANT EXECUTE to the role it reports as';

CREATE FUNCTION pgweir.reporters(
	OUT reporter text,
	OUT pid integer,
	OUT version text,
	OUT listen text,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT reports bigint,
	OUT left_out bigint,
	OUT uptime_s double precision,
	OUT clients bigint,
	OUT max_clients bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_reporters_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION pgweir.reporters() IS
'sidecars that report; left_out counts pools and connections for which the store had no place';

CREATE FUNCTION pgweir.pools(
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT mode text,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT size bigint,
	OUT reserve bigint,
	OUT sv_active bigint,
	OUT sv_idle bigint,
	OUT sv_used bigint,
	OUT sv_tested bigint,
	OUT sv_login bigint,
	OUT cl_active bigint,
	OUT cl_waiting bigint,
	OUT maxwait_us bigint,
	OUT xacts bigint,
	OUT queries bigint,
	OUT wait_us bigint,
	OUT xact_us bigint,
	OUT query_us bigint,
	OUT refused bigint,
	OUT expired_queued bigint,
	OUT expired_running bigint,
	OUT expired_grace bigint,
	OUT gone_waiting bigint,
	OUT gone_running bigint,
	OUT wait_timeouts bigint,
	OUT logins bigint,
	OUT disconnects bigint,
	OUT connects bigint,
	OUT connect_failures bigint,
	OUT think_us bigint,
	OUT think_n bigint,
	OUT drain_us bigint,
	OUT wait_p50_ms double precision,
	OUT wait_p95_ms double precision,
	OUT wait_p99_ms double precision,
	OUT run_p50_ms double precision,
	OUT run_p95_ms double precision,
	OUT run_p99_ms double precision,
	OUT deadline_p50_ms double precision,
	OUT deadline_p95_ms double precision,
	OUT deadline_p99_ms double precision,
	OUT gone_n bigint,
	OUT gone_peak_ms double precision,
	OUT gone_peak_share double precision,
	OUT peak_waiting bigint,
	OUT total_queries bigint,
	OUT total_logins bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pools_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pgweir.pools() IS
'pools of the reporting sidecars: what is so now, then what happened in the last minute';

CREATE FUNCTION pgweir.pool_errors(
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT sqlstate text,
	OUT recent bigint,
	OUT total bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pool_errors_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pgweir.pool_errors() IS
'errors that clients of the pools were sent, in the last minute and since the pool is known';

CREATE FUNCTION pgweir.linked(
	OUT pid integer,
	OUT reporter text,
	OUT reported timestamptz,
	OUT database text,
	OUT username text,
	OUT client text,
	OUT port integer,
	OUT application_name text,
	OUT state text,
	OUT wait_ms double precision,
	OUT since_ms double precision,
	OUT deadline_left_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_linked_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pgweir.linked() IS
'backends that a sidecar has given to a client, as of its last report';

CREATE FUNCTION pgweir.peers(
	OUT reporter text,
	OUT kind text,
	OUT addr text,
	OUT n bigint,
	OUT rtt_ms double precision,
	OUT rttvar_ms double precision,
	OUT retrans bigint,
	OUT lost bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_peers_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pgweir.peers() IS
'what the kernel of a sidecar''s machine measures on its sockets, by address; for members of pg_read_all_stats';

CREATE FUNCTION pgweir.timeline(
	OUT at timestamptz,
	OUT statements bigint,
	OUT busy_ms double precision,
	OUT failed bigint,
	OUT cancelled bigint,
	OUT statement_timeouts bigint,
	OUT lock_timeouts bigint,
	OUT deadline_missed bigint,
	OUT deadlocks bigint,
	OUT terminated bigint,
	OUT errors bigint,
	OUT undefined_errors bigint,
	OUT think_ms double precision,
	OUT thinks bigint,
	OUT connects bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_timeline_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 360;
COMMENT ON FUNCTION pgweir.timeline() IS
'the last hour of the server in steps of ten seconds; steps in which nothing happened are left out';

-- == activity ==

CREATE FUNCTION pgweir.activity(
	OUT pid integer,
	OUT userid oid,
	OUT dbid oid,
	OUT queryid bigint,
	OUT started timestamptz,
	OUT deadline_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_activity_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pgweir.activity() IS
'backends that execute a statement which is counted';

CREATE FUNCTION pgweir.ms_since(instant timestamptz) RETURNS double precision
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$ SELECT greatest(extract(epoch FROM clock_timestamp() - instant) * 1000, 0)::double precision $$;
COMMENT ON FUNCTION pgweir.ms_since(timestamptz) IS
'milliseconds that have passed since an instant';

--
-- Whose a server connection is changes with every transaction, unless it is pooled by session: what a sidecar said before
-- the present transaction began is left out.
--
CREATE VIEW pgweir.connections AS
SELECT a.pid, a.usename AS username, a.datname AS database, a.state,
	coalesce(nullif(l.application_name, ''), a.application_name) AS application_name,
	a.client_addr, a.client_port, l.client AS real_client, l.port AS real_port, l.reporter AS via,
	l.wait_ms,
	CASE WHEN a.state <> 'active' THEN NULL
		WHEN l.deadline_left_ms IS NOT NULL AND l.reported >= a.query_start
			THEN l.deadline_left_ms - pgweir.ms_since(l.reported)
		ELSE coalesce(w.deadline_ms, pgweir.comment_deadline(a.query)) - pgweir.ms_since(a.query_start)
	END AS deadline_left_ms,
	pgweir.ms_since(a.xact_start) AS xact_age_ms,
	pgweir.ms_since(a.state_change) AS state_age_ms,
	a.wait_event_type, a.wait_event,
	coalesce(w.queryid, a.query_id) AS queryid,
	a.query,
	a.backend_start, a.xact_start, a.query_start, a.state_change, a.usesysid AS userid, a.datid AS dbid
FROM pg_stat_activity AS a
CROSS JOIN LATERAL (SELECT pgweir.check_preload()) AS preload
LEFT JOIN pgweir.activity() AS w ON w.pid = a.pid
LEFT JOIN (
	SELECT l.*, p.mode
	FROM pgweir.linked() AS l
	LEFT JOIN pgweir.pools() AS p USING (reporter, database, username)
) AS l ON l.pid = a.pid AND (l.reported >= a.xact_start OR l.mode = 'session')
WHERE a.backend_type = 'client backend';
COMMENT ON VIEW pgweir.connections IS
'client backends, each with its real client where a sidecar told';
GRANT SELECT ON pgweir.connections TO PUBLIC;

CREATE VIEW pgweir.running_queries AS
SELECT c.pid, c.username, c.database, c.application_name, c.queryid, c.query,
	pgweir.ms_since(c.query_start) AS elapsed_ms,
	s.calls, s.p50_ms, s.p95_ms, s.p99_ms,
	pgweir.ms_since(c.query_start) / nullif(s.p99_ms, 0) AS times_p99,
	c.wait_event_type, c.wait_event,
	blocked.by AS blocked_by,
	blocker.query AS blocker_query, blocker.state AS blocker_state,
	coalesce(c.real_client, host(c.client_addr)) AS client,
	c.deadline_left_ms, c.wait_ms
FROM pgweir.connections AS c
CROSS JOIN LATERAL (
	SELECT CASE WHEN c.wait_event_type = 'Lock' THEN pg_blocking_pids(c.pid) ELSE '{}' END AS by
) AS blocked
LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocked.by[1]
LEFT JOIN pgweir.statements(false) AS s
	ON s.userid = c.userid AND s.dbid = c.dbid AND s.queryid = c.queryid AND s.toplevel AND s.calls > 0
WHERE c.state IN ('active', 'fastpath function call') AND c.pid <> pg_backend_pid()
ORDER BY elapsed_ms DESC;
COMMENT ON VIEW pgweir.running_queries IS
'statements that run now, beside what their class usually takes, and who blocks them';
GRANT SELECT ON pgweir.running_queries TO PUBLIC;

-- == index advisor ==
-- == end of index advisor ==

GRANT USAGE ON SCHEMA pgweir TO PUBLIC;
