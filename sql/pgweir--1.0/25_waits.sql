-- == waits ==

CREATE FUNCTION pgweir.waits(
	OUT userid oid,
	OUT dbid oid,
	OUT queryid bigint,
	OUT toplevel boolean,
	OUT wait_event_type text,
	OUT wait_event text,
	OUT samples bigint,
	OUT wait_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_waits_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pgweir.waits() IS
'what statement classes spent their time on, sampled; null for the class: statements that were being parsed, or not counted';

CREATE FUNCTION pgweir.sampler(
	OUT pid integer,
	OUT interval_ms bigint,
	OUT samples bigint,
	OUT cpu_ms double precision,
	OUT started timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_sampler_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION pgweir.sampler() IS
'the process that samples waits: its present interval, and what it has cost';

CREATE VIEW pgweir.wait_profile AS
SELECT w.userid, pg_get_userbyid(w.userid) AS username, d.datname AS database, w.queryid, w.toplevel, s.query,
	w.wait_event_type, w.wait_event, w.samples, w.wait_ms,
	w.wait_ms / nullif(sum(w.wait_ms) OVER (PARTITION BY w.userid, w.dbid, w.queryid, w.toplevel), 0) AS share
FROM pgweir.waits() AS w
LEFT JOIN pgweir.statements(true) AS s USING (userid, dbid, queryid, toplevel)
LEFT JOIN pg_database AS d ON d.oid = w.dbid
ORDER BY w.wait_ms DESC;
COMMENT ON VIEW pgweir.wait_profile IS
'what each statement class spends its time on: wait events, and CPU, as sampled every pgweir.sample_interval';
GRANT SELECT ON pgweir.wait_profile TO PUBLIC;
