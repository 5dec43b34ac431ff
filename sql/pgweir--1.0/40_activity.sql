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
LEFT JOIN pgweir.activity() AS w ON w.pid = a.pid
LEFT JOIN (
	SELECT l.*, p.mode
	FROM pgweir.linked() AS l
	LEFT JOIN pgweir.pools() AS p USING (reporter, database, username)
) AS l ON l.pid = a.pid AND (l.reported >= a.xact_start OR l.mode = 'session')
-- Asked before anything else: a join whose one side is empty may never look at the other.
WHERE pgweir.check_preload() AND a.backend_type = 'client backend';
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
	c.deadline_left_ms, c.wait_ms,
	blocked.lock AS lock_waited_for,
	blocker.state LIKE 'idle in transaction%' AS blocker_idle_in_transaction,
	-- of its statement while it runs, of its idleness else; and of the transaction that holds the lock
	pgweir.ms_since(CASE WHEN blocker.state = 'active' THEN blocker.query_start ELSE blocker.state_change END) AS blocker_elapsed_ms,
	pgweir.ms_since(blocker.xact_start) AS blocker_xact_ms
FROM pgweir.connections AS c
CROSS JOIN LATERAL (
	SELECT CASE WHEN c.wait_event_type = 'Lock' THEN pg_blocking_pids(c.pid) ELSE '{}' END AS by,
		CASE WHEN c.wait_event_type = 'Lock' THEN (
			SELECT l.mode || ' on ' || l.locktype ||
				coalesce(' ' || CASE WHEN l.database = c.dbid AND c.database = current_database() THEN l.relation::regclass::text END, '')
			FROM pg_locks AS l WHERE l.pid = c.pid AND NOT l.granted LIMIT 1) END AS lock
) AS blocked
LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocked.by[1]
LEFT JOIN pgweir.statements(false) AS s
	ON s.userid = c.userid AND s.dbid = c.dbid AND s.queryid = c.queryid AND s.toplevel AND s.calls > 0
WHERE pgweir.check_preload() AND c.state IN ('active', 'fastpath function call') AND c.pid <> pg_backend_pid()
ORDER BY elapsed_ms DESC;
COMMENT ON VIEW pgweir.running_queries IS
'statements that run now, beside what their class usually takes, and who blocks them';
GRANT SELECT ON pgweir.running_queries TO PUBLIC;
