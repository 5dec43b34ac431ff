-- == samples ==

CREATE FUNCTION pgweir.samples(
	OUT userid oid,
	OUT dbid oid,
	OUT queryid bigint,
	OUT toplevel boolean,
	OUT started timestamptz,
	OUT duration_ms double precision,
	OUT reason text,
	OUT outcome text,
	OUT usual_p99_ms double precision,
	OUT deadline_ms double precision,
	OUT pid integer,
	OUT application_name text,
	OUT client text,
	OUT traceparent text,
	OUT sent text,
	OUT parameters text[],
	OUT estimated_rows double precision,
	OUT actual_rows double precision,
	OUT worst_node text,
	OUT worst_estimated_rows double precision,
	OUT worst_actual_rows double precision,
	OUT waits text[],
	OUT blocker_pid integer,
	OUT blocker_queryid bigint,
	OUT blocker_idle_in_transaction boolean,
	OUT plan_id bigint,
	OUT plan text,
	OUT plan_json text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_samples_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;
REVOKE ALL ON FUNCTION pgweir.samples() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.samples() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.samples() IS
'single executions that were slow, slower than their class ever is, or ended by a timeout';

CREATE FUNCTION pgweir.plans(
	OUT userid oid,
	OUT dbid oid,
	OUT queryid bigint,
	OUT toplevel boolean,
	OUT plan_id bigint,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT calls bigint,
	OUT total_ms double precision,
	OUT plan text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_plans_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000;
REVOKE ALL ON FUNCTION pgweir.plans() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.plans() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.plans() IS
'the plans that statement classes were executed by, up to pgweir.flush_interval late';

CREATE VIEW pgweir.plan_history AS
SELECT p.userid, pg_get_userbyid(p.userid) AS username, d.datname AS database, p.queryid, p.toplevel, s.query,
	p.plan_id, p.first_seen, p.last_seen, p.calls, p.total_ms, p.total_ms / nullif(p.calls, 0) AS mean_ms, p.plan
FROM pgweir.plans() AS p
LEFT JOIN pgweir.statements(true) AS s USING (userid, dbid, queryid, toplevel)
LEFT JOIN pg_database AS d ON d.oid = p.dbid
ORDER BY p.userid, p.dbid, p.queryid, p.toplevel, p.first_seen;
COMMENT ON VIEW pgweir.plan_history IS
'the plans of each statement class with what they took, so that a change for the worse and its time can be seen; for members of pg_read_all_stats';
GRANT SELECT ON pgweir.plan_history TO pg_read_all_stats;

CREATE VIEW pgweir.slow_samples AS
WITH classes AS MATERIALIZED (SELECT userid, dbid, queryid, toplevel, query FROM pgweir.statements(true))
SELECT x.started, x.duration_ms, x.reason, x.outcome, x.usual_p99_ms, x.deadline_ms,
	pg_get_userbyid(x.userid) AS username, d.datname AS database, x.queryid, x.toplevel, s.query,
	x.sent, x.parameters, x.application_name, x.client, x.traceparent, x.pid,
	x.estimated_rows, x.actual_rows, x.worst_node, x.worst_estimated_rows, x.worst_actual_rows,
	x.waits, x.blocker_pid, x.blocker_idle_in_transaction, b.query AS blocker_query,
	-- One that failed has no end at which its plan could be printed; an earlier execution by the same plan had.
	x.plan_id, coalesce(x.plan, p.plan) AS plan, x.plan_json::json AS plan_json, x.userid, x.dbid
FROM pgweir.samples() AS x
LEFT JOIN classes AS s USING (userid, dbid, queryid, toplevel)
LEFT JOIN pgweir.plans() AS p USING (userid, dbid, queryid, toplevel, plan_id)
LEFT JOIN (
	SELECT DISTINCT ON (c.dbid, c.queryid) c.dbid, c.queryid, c.query FROM classes AS c ORDER BY c.dbid, c.queryid
) AS b ON b.queryid = x.blocker_queryid AND b.dbid = x.dbid
LEFT JOIN pg_database AS d ON d.oid = x.dbid
ORDER BY x.started DESC;
COMMENT ON VIEW pgweir.slow_samples IS
'single executions that took pgweir.slow_threshold, or pgweir.slow_factor times the 99th percentile of their class, or were ended by a timeout: with '
'parameters, plan, waits and blocker; for members of pg_read_all_stats';
GRANT SELECT ON pgweir.slow_samples TO pg_read_all_stats;
