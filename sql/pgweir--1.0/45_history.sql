-- == history ==

CREATE FUNCTION pgweir.pressure_moments(
	minutes boolean,
	"from" timestamptz,
	"to" timestamptz,
	OUT at timestamptz,
	OUT scope text,
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT seconds bigint,
	OUT size bigint,
	OUT active bigint,
	OUT idle bigint,
	OUT in_transaction bigint,
	OUT waiting bigint,
	OUT opening bigint,
	OUT maxwait_ms bigint,
	OUT holder_ms bigint,
	OUT longest_ms bigint,
	OUT locked bigint,
	OUT draining bigint,
	OUT rtt_us bigint,
	OUT failing_ms bigint,
	OUT statements bigint,
	OUT busy_ms bigint,
	OUT errors bigint,
	OUT cancelled bigint,
	OUT missed bigint,
	OUT refused bigint,
	OUT gone bigint,
	OUT connects bigint,
	OUT connect_failures bigint,
	OUT think_ms bigint,
	OUT thinks bigint,
	OUT wait_ms bigint,
	OUT drain_ms bigint,
	OUT xacts bigint,
	OUT repeated bigint,
	OUT cpu_short_ms bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pressure_moments_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 7200;
COMMENT ON FUNCTION pgweir.pressure_moments(boolean, timestamptz, timestamptz) IS
'the history between two instants, by seconds (of the last hour) or by minutes (of the last week)';

CREATE FUNCTION pgweir.pressure_sums(
	older_s integer,
	newer_s integer,
	OUT scope text,
	OUT seconds bigint,
	OUT size bigint,
	OUT active bigint,
	OUT idle bigint,
	OUT in_transaction bigint,
	OUT waiting bigint,
	OUT opening bigint,
	OUT maxwait_ms bigint,
	OUT holder_ms bigint,
	OUT longest_ms bigint,
	OUT locked bigint,
	OUT draining bigint,
	OUT rtt_us bigint,
	OUT failing_ms bigint,
	OUT statements bigint,
	OUT busy_ms bigint,
	OUT errors bigint,
	OUT cancelled bigint,
	OUT missed bigint,
	OUT refused bigint,
	OUT gone bigint,
	OUT connects bigint,
	OUT connect_failures bigint,
	OUT think_ms bigint,
	OUT thinks bigint,
	OUT wait_ms bigint,
	OUT drain_ms bigint,
	OUT xacts bigint,
	OUT repeated bigint,
	OUT cpu_short_ms bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pressure_sums_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION pgweir.pressure_sums(integer, integer) IS
'the history from so many to so many seconds ago in two rows, of the server and of all pools: peaks of what is so, sums of what happened';

CREATE FUNCTION pgweir.pressure_usual(
	skip_s integer,
	OUT seconds bigint,
	OUT statements_p10 double precision,
	OUT statements_p50 double precision,
	OUT think_p25_ms double precision,
	OUT think_p50_ms double precision,
	OUT rtt_p25_ms double precision,
	OUT rtt_p50_ms double precision,
	OUT busy_p50 double precision,
	OUT errors_p50 double precision,
	OUT pool_statements_p25 double precision,
	OUT pool_statements_p50 double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pressure_usual_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION pgweir.pressure_usual(integer) IS
'what the last hour was like, but for its last seconds: quantiles over pieces of five seconds';

CREATE FUNCTION pgweir.pressure_since(series text, at_least bigint, gap_s integer DEFAULT 10) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'pgweir_pressure_since_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pgweir.pressure_since(text, bigint, integer) IS
'since when a column of the history has been at least so much, with no longer gap; null when it is not';

CREATE VIEW pgweir.pressure_history AS
SELECT m.at, m.scope, m.reporter, m.database, m.username, m.seconds, m.size, m.active, m.idle,
	m.in_transaction AS idle_in_transaction, m.waiting, m.opening, m.maxwait_ms, m.holder_ms AS oldest_holder_ms,
	m.longest_ms, m.locked, m.draining, m.rtt_us / 1000.0::float8 AS rtt_ms, m.failing_ms,
	m.statements, m.busy_ms, m.errors, m.cancelled, m.missed AS deadline_missed, m.refused, m.gone, m.connects,
	m.connect_failures, m.think_ms, m.thinks, m.wait_ms, m.drain_ms, m.xacts, m.repeated, m.cpu_short_ms,
	CASE WHEN m.size > 0
		THEN least(1, (CASE m.scope WHEN 'server' THEN m.active + m.idle ELSE m.active END
			+ m.in_transaction + m.opening + m.waiting)::float8 / m.size) END AS pressure
FROM (
	SELECT * FROM pgweir.pressure_moments(true, '-infinity', date_trunc('minute', clock_timestamp() - interval '1 hour'))
	UNION ALL
	SELECT * FROM pgweir.pressure_moments(false, date_trunc('minute', clock_timestamp() - interval '1 hour'), clock_timestamp())
) AS m
ORDER BY m.at, m.scope DESC, m.reporter, m.database, m.username;
COMMENT ON VIEW pgweir.pressure_history IS
'the server, all pools together and the busiest pools each, by seconds for the last hour, before that by minutes for a week: peaks of what was so, sums of what happened';
GRANT SELECT ON pgweir.pressure_history TO pg_read_all_stats;

CREATE FUNCTION pgweir.pressure_at(instant timestamptz) RETURNS SETOF pgweir.pressure_history
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED ROWS 5
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT h.* FROM pgweir.pressure_history AS h
	WHERE h.at = (
		SELECT max(b.at) FROM pgweir.pressure_history AS b WHERE b.scope = 'server' AND b.at <= instant
			AND b.at > instant - CASE WHEN b.seconds > 1 THEN interval '60 s' ELSE interval '10 s' END)
$$;
REVOKE ALL ON FUNCTION pgweir.pressure_at(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.pressure_at(timestamptz) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.pressure_at(timestamptz) IS
'the rows of pressure_history that an instant falls into; none when nothing was recorded then';
