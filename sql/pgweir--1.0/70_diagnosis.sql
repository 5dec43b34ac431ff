-- == diagnosis ==

--
-- What the server does for itself or an operator asked of it: no query of a service.
--
CREATE FUNCTION pgweir.is_housekeeping(query text) RETURNS boolean
AS 'MODULE_PATHNAME', 'pgweir_is_housekeeping_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.is_housekeeping(text) IS
'whether a statement is maintenance, transaction control or one of pgweir''s own: such are not held to be slow queries';

CREATE FUNCTION pgweir.recent_classes(
	slow_ms double precision,
	OUT dbid oid,
	OUT queryid bigint,
	OUT query text,
	OUT minute_ms double precision,			-- its time in the last minute
	OUT seconds double precision,			-- the last 3 to 13, which the next four are of
	OUT calls bigint,
	OUT ms double precision,
	OUT mean_ms double precision,
	OUT share double precision,				-- of the time of all classes
	OUT calls_before bigint,				-- before the last minute; of a younger class, before those seconds
	OUT mean_before_ms double precision,
	OUT p50_ms double precision,
	OUT p95_ms double precision,
	OUT blocks_per_call bigint,
	OUT rows_per_call bigint,
	OUT given_up bigint,					-- cancelled, timed out, deadline missed
	OUT given_up_ms double precision)		-- their time
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_recent_classes_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pgweir.recent_classes(double precision) IS
'statement classes, without housekeeping, that took so long on the average in the last seconds, or that ran in the last minute and were given up on';

--
-- The figures that the rules below look at, in one row.  Read it as the evidence behind the evidence.
--
CREATE VIEW pgweir.signals AS
WITH t AS (
	SELECT * FROM pgweir.thresholds()
), backend AS (
	SELECT a.pid, a.state, a.wait_event_type, a.wait_event, a.query, a.application_name,
		pgweir.ms_since(a.state_change) / 1000 AS state_s, pgweir.ms_since(a.query_start) / 1000 AS query_s
	FROM pg_stat_activity AS a
	WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
), backends AS (
	SELECT count(*) AS used,
		count(*) FILTER (WHERE b.state = 'active') AS active,
		count(*) FILTER (WHERE b.state = 'active' AND b.wait_event_type = 'Lock') AS lock_waiting,
		count(*) FILTER (WHERE b.state = 'active' AND b.wait_event = 'ClientWrite') AS draining,
		count(*) FILTER (WHERE b.state LIKE 'idle in transaction%') AS in_transaction,
		count(*) FILTER (WHERE b.state LIKE 'idle in transaction%' AND b.state_s >= t.idle_in_transaction_s) AS leaked,
		count(*) FILTER (WHERE b.state LIKE 'idle in transaction%' AND b.state_s >= t.held_s) AS held,
		count(*) FILTER (WHERE b.works AND b.query_s >= t.slow_running_s) AS slow_running,
		max(b.query_s) FILTER (WHERE b.works) AS longest_s,
		(array_agg(b.query ORDER BY b.query_s DESC) FILTER (WHERE b.works))[1] AS longest_query
	FROM (
		SELECT *, state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock' AND NOT pgweir.is_housekeeping(query) AS works
		FROM backend
	) AS b CROSS JOIN t
), pool AS MATERIALIZED (
	SELECT * FROM pgweir.pools()
), keeper AS (
	-- Connections that a client of a pool by session keeps without a transaction.
	SELECT count(*) AS kept, max(b.state_s) AS kept_s
	FROM backend AS b
	JOIN pgweir.linked() AS l ON l.pid = b.pid
	JOIN pool AS p USING (reporter, database, username)
	CROSS JOIN t
	WHERE b.state = 'idle' AND b.state_s >= t.held_s AND p.mode = 'session'
), holder AS (
	SELECT b.pid AS holder_pid, b.state_s AS holder_s, b.query AS holder_query,
		coalesce(nullif(l.application_name, ''), b.application_name) AS holder_application, l.client AS holder_client
	FROM backend AS b LEFT JOIN pgweir.linked() AS l ON l.pid = b.pid
	WHERE b.state LIKE 'idle in transaction%'
	ORDER BY b.state_s DESC LIMIT 1
), timeline AS (
	SELECT *, at > clock_timestamp() - interval '60 s' AS recent FROM pgweir.timeline()
), times AS (
	SELECT coalesce(sum(l.statements) FILTER (WHERE l.recent), 0) AS statements,
		coalesce(sum(l.statements) FILTER (WHERE NOT l.recent), 0) AS statements_before,
		coalesce(sum(l.busy_ms) FILTER (WHERE l.recent), 0) AS busy_ms,
		coalesce(sum(l.errors) FILTER (WHERE l.recent), 0) AS errors,
		coalesce(sum(l.errors) FILTER (WHERE NOT l.recent), 0) AS errors_before,
		coalesce(sum(l.undefined_errors) FILTER (WHERE l.recent), 0) AS undefined_errors,
		coalesce(sum(l.deadlocks) FILTER (WHERE l.recent), 0) AS deadlocks,
		coalesce(sum(l.cancelled) FILTER (WHERE l.recent), 0) AS cancelled,
		coalesce(sum(l.statement_timeouts) FILTER (WHERE l.recent), 0) AS statement_timeouts,
		coalesce(sum(l.deadline_missed) FILTER (WHERE l.recent), 0) AS deadline_missed,
		coalesce(sum(l.think_ms) FILTER (WHERE l.recent), 0) AS think_ms,
		coalesce(sum(l.thinks) FILTER (WHERE l.recent), 0) AS thinks,
		coalesce(sum(l.connects) FILTER (WHERE l.recent), 0) AS connects,
		60::float8 AS seconds
	FROM timeline AS l
), lately AS (
	-- As the sampler saw it: the last five seconds and the five before; what is so in both is no accident.
	SELECT max(n.think_ms::float8 / nullif(n.thinks, 0)) AS think_now_ms,
		max(n.busy_ms / 1000.0 / nullif(n.seconds, 0)) AS busy_now,
		max(n.cpu_short_ms / 1000.0 / nullif(n.seconds, 0)) AS cpu_short, max(nullif(n.seconds, 0)) AS sampled_s
	FROM pgweir.pressure_sums(5, 0) AS n WHERE n.scope = 'server'
), before AS (
	SELECT max(n.think_ms::float8 / nullif(n.thinks, 0)) AS think_then_ms
	FROM pgweir.pressure_sums(10, 5) AS n WHERE n.scope = 'server'
), pooled_lately AS (
	SELECT n.seconds AS pool_seconds, n.wait_ms::float8 / greatest(n.statements, 1) AS wait_mean_ms,
		n.think_ms::float8 / nullif(n.thinks, 0) AS pool_think_now_ms
	FROM pgweir.pressure_sums(10, 0) AS n WHERE n.scope = 'pools'
), silence AS (
	SELECT n.seconds AS silence_seconds, n.statements AS statements_asked
	FROM t CROSS JOIN LATERAL pgweir.pressure_sums(t.silence_s::integer, 0) AS n WHERE n.scope = 'pools'
), usual AS (
	SELECT u.seconds AS usual_seconds, u.think_p25_ms AS usual_think_ms, u.rtt_p25_ms AS usual_rtt_ms,
		u.pool_statements_p25 AS usual_least, u.pool_statements_p50 AS usual_rate
	FROM pgweir.pressure_usual(15) AS u
), release AS (
	-- An application that was not among the first that a sidecar saw.
	SELECT a.application_name AS release, a.first_seen AS released, a.xacts AS release_xacts
	FROM pgweir.applications() AS a CROSS JOIN t
	WHERE a.first_seen > (SELECT min(f.first_seen) FROM pgweir.applications() AS f) + interval '5 s'
		AND a.first_seen > clock_timestamp() - t.deploy_s * interval '1 s' AND a.queries > 0
		AND a.application_name NOT IN ('psql', 'pgweir') AND a.application_name NOT LIKE 'pg\_%'
	ORDER BY a.queries DESC LIMIT 1
), repeated AS (
	SELECT r.query AS repeat_query, r.statements AS repeat_statements, r.units AS repeat_units, r.most AS repeat_most,
		r.first_seen AS repeat_first
	FROM pgweir.repeats() AS r
	ORDER BY r.statements DESC LIMIT 1
), class AS MATERIALIZED (
	SELECT c.*, t.slow_ms FROM t CROSS JOIN LATERAL pgweir.recent_classes(t.slow_ms) AS c
), quit AS (
	-- What clients gave up on most often.
	SELECT c.query AS quit_query, c.given_up_ms / c.given_up AS quit_ms, c.p50_ms AS quit_p50_ms, c.p95_ms AS quit_p95_ms
	FROM class AS c
	WHERE c.given_up > 0
	ORDER BY c.given_up DESC LIMIT 1
), slowest AS (
	SELECT c.* FROM class AS c
	WHERE c.mean_ms >= c.slow_ms
	ORDER BY c.ms DESC LIMIT 1
), pools AS (
	SELECT count(*) AS pools,
		coalesce(sum(p.size), 0) AS pool_size,
		coalesce(sum(p.sv_active), 0) AS pool_active,
		coalesce(sum(p.cl_waiting), 0) AS waiting,
		max(p.peak_waiting) AS peak_waiting,
		coalesce(max(p.wait_p95_ms), 0) AS wait_p95_ms,
		coalesce(max(p.maxwait_us), 0) / 1000.0 AS maxwait_ms,
		coalesce(sum(p.refused), 0) AS refused,
		coalesce(sum(p.wait_timeouts), 0) AS wait_timeouts,
		coalesce(sum(p.expired_queued), 0) AS expired_queued,
		coalesce(sum(p.expired_running + p.expired_grace), 0) AS expired_running,
		coalesce(sum(p.queries), 0) AS queries,
		coalesce(sum(p.gone_n), 0) AS gone,
		coalesce(sum(p.connect_failures), 0) AS connect_failures,
		coalesce(max(p.failing_us), 0) / 1000.0 AS failing_ms,
		bool_or(p.connect_failures > 0 AND p.sv_active + p.sv_idle + p.sv_used + p.sv_tested = 0
			AND p.cl_waiting > 0) AS unreachable,
		max(nullif(p.error, '')) AS connect_error,
		coalesce(sum(p.cl_active + p.cl_waiting), 0) AS pool_clients,
		coalesce(sum(p.unserved), 0) AS unserved,
		coalesce(sum(p.connects), 0) AS server_connects,
		coalesce(sum(p.logins), 0) AS logins,
		coalesce(sum(p.think_us), 0) / 1000.0 AS pool_think_ms,
		coalesce(sum(p.think_n), 0) AS pool_thinks,
		coalesce(sum(p.drain_us), 0) / 1000.0 AS drain_ms,
		coalesce(sum(p.query_us), 0) / 1000.0 AS pool_query_ms,
		max(p.run_p95_ms) AS run_p95_ms,
		min(p.deadline_p50_ms) AS deadline_p50_ms,
		bool_or(p.size > 0 AND p.sv_active >= p.size AND p.cl_waiting > 0) AS exhausted
	FROM pool AS p
), worst_pool AS (
	SELECT format('%s/%s', p.database, p.username) AS worst_pool, p.size AS worst_size, p.cl_waiting AS worst_waiting,
		p.wait_p95_ms AS worst_wait_p95_ms, p.gone_peak_ms, p.gone_peak_share
	FROM pool AS p
	ORDER BY p.cl_waiting + p.peak_waiting DESC, p.wait_p95_ms DESC NULLS LAST LIMIT 1
), net AS (
	SELECT count(*) AS peers, max(n.rtt_ms) AS worst_rtt_ms, coalesce(sum(n.retrans), 0) AS retrans,
		coalesce(max(n.retrans), 0) AS worst_retrans, max(n.retrans::float8 / nullif(n.segments, 0)) AS worst_retrans_share,
		coalesce(sum(n.segments), 0) AS segments, coalesce(sum(n.lost), 0) AS lost, max(n.lost::float8 / n.n) AS worst_lost_share,
		(array_agg(n.kind || ' ' || n.addr ORDER BY n.retrans + n.lost DESC, n.rtt_ms DESC))[1] AS worst_peer
	FROM pgweir.peers() AS n
	WHERE n.n > 0
), blocking AS (
	SELECT count(*) AS blocked_by_idle
	FROM backend AS b
	JOIN holder AS h ON h.holder_pid = ANY (pg_blocking_pids(b.pid))
	WHERE b.wait_event_type = 'Lock'
), since AS (
	SELECT
		min(l.at) FILTER (WHERE l.at > coalesce(e.calm_errors, '-infinity') AND l.errors > 0) AS errors_since,
		min(l.at) FILTER (WHERE l.at > coalesce(e.calm_busy, '-infinity')) AS busy_since,
		min(l.at) FILTER (WHERE l.at > coalesce(e.calm_gone, '-infinity')
			AND l.cancelled + l.deadline_missed + l.statement_timeouts > 0) AS gone_since,
		min(l.at) FILTER (WHERE l.at > coalesce(e.calm_think, '-infinity') AND l.thinks > 0) AS think_since
	FROM timeline AS l
	CROSS JOIN (
		SELECT max(c.at) FILTER (WHERE c.errors <= c.statements * t.error_share) AS calm_errors,
			max(c.at) FILTER (WHERE c.busy_ms < t.load * 10000 AND c.at < clock_timestamp() - interval '10 s') AS calm_busy,
			max(c.at) FILTER (WHERE c.cancelled + c.deadline_missed + c.statement_timeouts = 0
				AND c.at < clock_timestamp() - interval '10 s') AS calm_gone,
			max(c.at) FILTER (WHERE c.think_ms < t.think_share * (c.think_ms + c.busy_ms)
				AND c.at < clock_timestamp() - interval '10 s') AS calm_think
		FROM timeline AS c CROSS JOIN t
	) AS e
)
SELECT
	(SELECT count(*) FROM pgweir.reporters()) AS reporters,
	pgweir.server_slots() AS slots,
	b.*, k.*, h.*, bl.*, l.*, la.*, ea.*, pl.*, si.*, us.*, re.*, rp.*, q.*, p.*, w.*, n.*,
	s.queryid AS slow_queryid, s.query AS slow_query, s.seconds AS slow_seconds, s.calls AS slow_calls, s.ms AS slow_spent_ms, s.minute_ms AS slow_minute_ms,
	s.mean_ms AS slow_mean_ms, s.mean_before_ms AS slow_mean_before_ms, s.calls_before AS slow_calls_before, s.p95_ms AS slow_p95_ms, s.share AS slow_share, s.blocks_per_call AS slow_blocks,
	s.rows_per_call AS slow_rows, d.datname AS slow_database,
	e.errors_since, e.busy_since, e.gone_since, e.think_since
FROM backends AS b CROSS JOIN times AS l CROSS JOIN pools AS p CROSS JOIN net AS n CROSS JOIN blocking AS bl
CROSS JOIN since AS e CROSS JOIN keeper AS k
LEFT JOIN lately AS la ON true
LEFT JOIN before AS ea ON true
LEFT JOIN pooled_lately AS pl ON true
LEFT JOIN silence AS si ON true
LEFT JOIN usual AS us ON true
LEFT JOIN release AS re ON true
LEFT JOIN repeated AS rp ON true
LEFT JOIN quit AS q ON true
LEFT JOIN holder AS h ON true
LEFT JOIN slowest AS s ON true
LEFT JOIN pg_database AS d ON d.oid = s.dbid
LEFT JOIN worst_pool AS w ON true;
COMMENT ON VIEW pgweir.signals IS
'the figures that diagnosis is drawn from; counts and sums are of the last minute';
GRANT SELECT ON pgweir.signals TO pg_read_all_stats;

--
-- The index that a statement lacks, from kept advice as long as that names one and no index has changed since; a minute after it was
-- made it also counts that it names none.
--
CREATE FUNCTION pgweir.ddl_in(advice jsonb, queryid bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT string_agg(s.ddl, E'\n' ORDER BY s.gain_pct DESC)
	FROM jsonb_to_recordset(advice -> 'suggestions') AS s (action text, ddl text, queryids jsonb, gain_pct float8)
	WHERE s.action <> 'drop' AND s.queryids @> to_jsonb(queryid)
$$;
COMMENT ON FUNCTION pgweir.ddl_in(jsonb, bigint) IS
'the indexes that advice has for a statement, to paste';

CREATE FUNCTION pgweir.ddl_for(queryid bigint) RETURNS text
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	advice jsonb := pgweir.read_document('advice');
	ddl text;
BEGIN
	IF advice -> 'basis' = pgweir.advice_basis() THEN
		ddl := pgweir.ddl_in(advice, queryid);
		IF ddl IS NOT NULL OR advice -> 'times' ? queryid::text
				AND (advice ->> 'at')::timestamptz > clock_timestamp() - interval '60 s' THEN
			RETURN ddl;
		END IF;
	END IF;
	RETURN pgweir.ddl_in(pgweir.current_advice(false), queryid);
END
$$;
REVOKE ALL ON FUNCTION pgweir.ddl_for(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.ddl_for(bigint) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.ddl_for(bigint) IS
'the indexes that index_suggestions has for a statement, to paste; null when there are none';

--
-- The rules.  "judged" says for each cause whether its signs are there, by the thresholds; "explained" tells causes from their
-- effects, from the strongest evidence to the weakest:
--
--   7  no sidecar reaches its server              explains all that waits or fails
--   3  packets are lost or late                   explains long transactions, full pools, clients that give up
--   5  transactions left open by a new release, errors or repeats that came with it; without a release a leak is 1
--   4  slow statements                            explain full pools and clients that give up
--   2  the service thinks inside transactions     explains the same
--   1  nothing of these, and yet somebody waits; not while think time has just begun to grow
--   6  nothing of these, nobody waits, and yet clients give up
--   7  nothing of these, and nobody asks any more
--
-- A function, so that a session plans it once, and takes the joins of single rows as they are written.
--
CREATE FUNCTION pgweir.diagnose() RETURNS TABLE (
	cause integer, name text, verdict text, confidence double precision, evidence text, remedy text, why text, since timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED ROWS 7
SET search_path TO pg_catalog, pg_temp
SET join_collapse_limit = 1
SET from_collapse_limit = 1
AS $$
#variable_conflict use_column
BEGIN
RETURN QUERY
WITH judged AS MATERIALIZED (
	SELECT s.*, t.silence_s,
		-- 7
		s.failing_ms >= 1000 OR coalesce(s.unreachable, false) AS down,
		s.silence_seconds >= t.silence_s - 1 AND s.statements_asked = 0 AND s.waiting = 0
			AND s.usual_least >= t.silence_rate AS silent,
		-- 3
		-- What the kernel takes to be lost may only be late, above all where processors are short: it counts when much was sent again, too.
		s.worst_lost_share >= s.strain * t.lost_share AND s.worst_retrans >= s.strain * t.retrans_min / 2
			OR s.worst_retrans >= s.strain * t.retrans_min
				AND (s.segments = 0 OR s.worst_retrans_share >= t.retrans_share) AS lossy,
		s.worst_rtt_ms >= CASE WHEN s.strain > 1 THEN 1.5 ELSE 1 END * t.rtt_ms AND s.worst_rtt_ms >= t.rtt_growth * coalesce(s.usual_rtt_ms, 0) AS far,
		-- 5
		s.leaked > 0 AS leaks,
		s.leaked > 0 AND (s.leaked >= 0.25 * greatest(s.pool_size, 1) OR s.blocked_by_idle > 0 OR s.leaked >= 0.25 * s.used)
			OR s.held >= t.held_share * nullif(s.pool_size, 0) AND coalesce(s.exhausted, false) AS leaks_much,
		coalesce(s.release IS NOT NULL AND s.holder_application = s.release, false)
			OR NOT EXISTS (SELECT FROM pgweir.applications() AS a WHERE a.application_name = s.holder_application) AS leaker_is_new,
		s.errors >= t.errors_min AND s.errors >= t.error_share * s.statements AS errs,
		s.errors >= t.errors_min AND s.errors >= t.error_share * s.statements
			AND s.errors::float8 / greatest(s.statements, 1)
				>= t.error_growth * s.errors_before / greatest(s.statements_before, 1) AS errors_grew,
		coalesce(s.repeat_statements >= t.repeat_share * s.queries AND s.repeat_units >= t.repeat_units, false) AS repeats,
		coalesce(s.repeat_statements >= t.repeat_share * s.queries AND s.repeat_units >= t.repeat_units
			AND s.repeat_first >= s.released - interval '2 s', false) AS repeats_new,
		s.lock_waiting > 0 AND s.lock_waiting >= t.lock_share * s.active AS locked,
		-- 4: one class takes most of the time and is slow, still; or statements run and run
		coalesce(s.slow_share >= t.slow_share AND (s.slow_minute_ms >= t.load * s.seconds * 1000
				AND s.slow_spent_ms >= t.load / 2 * s.slow_seconds * 1000
			OR s.slow_spent_ms >= t.load / 2 * s.strain * s.slow_seconds * 1000
				AND s.slow_mean_ms >= t.slow_growth * s.slow_mean_before_ms), false) AS slow_class,
		coalesce(s.slow_mean_ms < t.slow_growth / 2 * s.slow_mean_before_ms AND s.slow_calls_before >= 20, false) AS slow_as_ever,
		s.slow_running > 0 AS slow_now,
		coalesce(s.slow_mean_ms >= t.slow_growth / 2 * s.slow_mean_before_ms, false) AS slowing,
		-- 2: by the last seconds where the sampler has seen them, else by the last minute
		s.thinks > 0 AND s.think_ms >= t.think_share * (s.think_ms + s.busy_ms) AND (
			least(s.think_now_ms, s.think_then_ms) >= s.think_limit_ms
			OR s.sampled_s IS NULL AND s.think_ms / greatest(s.thinks, 1) >= t.think_ms)
			AND s.think_ms >= t.load * 10000 AS thinks_long,
		coalesce(s.think_now_ms >= s.think_limit_ms, false) AS thinks_now,
		s.drain_ms >= t.drain_share * greatest(s.pool_query_ms, 1) AND s.drain_ms >= 1000
			OR s.draining >= 2 AND s.draining >= 0.5 * s.active AS drains,
		s.connects / s.seconds >= t.connects_per_s AS connect_storm,
		-- 1: somebody waits or is refused
		s.used >= t.slots_exhausted * s.slots AS server_full,
		coalesce(s.exhausted AND s.maxwait_ms >= t.wait_ms, false) OR coalesce(s.wait_mean_ms >= t.wait_ms, false)
			OR s.wait_p95_ms >= t.wait_ms OR s.refused + s.wait_timeouts + s.expired_queued >= t.gone_min AS pool_tight,
		coalesce(s.wait_mean_ms >= t.wait_ms, false) OR coalesce(s.exhausted, false) AND s.maxwait_ms >= 10 * t.wait_ms
			OR s.refused + s.wait_timeouts + s.expired_queued >= t.gone_min AS pool_full,
		s.used >= t.slots_tight * s.slots AS server_tight,
		s.kept >= t.held_share * nullif(s.pool_size, 0) AND coalesce(s.exhausted, false) AS keeps,
		-- 6
		greatest(s.gone + s.expired_queued + s.expired_running, s.deadline_missed + s.cancelled + s.statement_timeouts)
			>= s.strain * t.gone_min AS gives_up,
		s.gone >= t.gone_min AND s.gone_peak_share >= t.gone_peak_share AS gone_cliff,
		s.pools = 0 OR s.gone_cliff_first AS gives_up_clearly
	FROM (
		-- On a machine that is short of processors everybody is slow: what proves something elsewhere is not enough there.
		SELECT s.*, s.gone_peak_ms <= 2 * s.run_p95_ms AS gone_cliff_first, c.strain,
			CASE
				WHEN s.usual_think_ms IS NULL THEN 2 * c.strain * t.think_ms
				WHEN c.strain > 1 THEN greatest(2 * t.think_ms, c.strain * t.think_growth * s.usual_think_ms)
				ELSE greatest(t.think_ms, t.think_growth * s.usual_think_ms)
			END AS think_limit_ms
		FROM pgweir.signals AS s CROSS JOIN pgweir.thresholds() AS t
		CROSS JOIN LATERAL (SELECT CASE WHEN s.cpu_short >= t.cpu_short THEN 3 ELSE 1 END AS strain) AS c
	) AS s CROSS JOIN pgweir.thresholds() AS t
), effects AS MATERIALIZED (
	SELECT j.*, t.gone_s,
		j.pool_full OR j.server_full OR j.keeps AS full_up,
		coalesce(j.lossy, false) OR coalesce(j.far, false) AS net_bad,
		(j.slow_class AND (NOT j.slow_as_ever OR j.pool_full OR j.server_full OR j.gives_up) OR j.slow_now) AND NOT j.locked AS slow,
		coalesce(j.thinks_long, false) OR j.drains AS thinking,
		-- What a new release does wrong.
		j.leaks_much AND j.leaker_is_new OR j.errors_grew OR j.repeats_new AS buggy,
		coalesce(j.leaks_much, false) AND NOT j.leaker_is_new AS leaks_of_old
	FROM judged AS j CROSS JOIN pgweir.thresholds() AS t
), explained AS MATERIALIZED (
	SELECT e.*,
		CASE
			WHEN e.down THEN 7 WHEN e.net_bad THEN 3 WHEN e.buggy OR e.locked THEN 5 WHEN e.leaks_of_old THEN 1
			WHEN e.slow THEN 4 WHEN e.thinking THEN 2 WHEN e.full_up AND NOT e.thinks_now OR e.keeps THEN 1
		END AS root
	FROM effects AS e
), ruled AS MATERIALIZED (
	SELECT e.*,
		e.gives_up AND e.root IS NULL AND NOT e.slowing AND (coalesce(e.gives_up_clearly, false)
			OR least(pgweir.pressure_since('cancelled', 1), pgweir.pressure_since('gone', 1), pgweir.pressure_since('missed', 1))
				<= clock_timestamp() - e.gone_s * interval '1 s') AS impatient,
		format(' An effect of cause %s: ', e.root) AS effect_of
	FROM explained AS e
)
SELECT r.cause, r.name, r.verdict,
	CASE r.verdict WHEN 'culprit' THEN round(least(r.certainty, 0.99)::numeric, 2) WHEN 'suspect' THEN round((r.certainty / 2)::numeric, 2)
	END::double precision AS confidence,
	r.evidence,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.remedy END AS remedy,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.why END AS why,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.since END AS since
FROM ruled AS e
CROSS JOIN LATERAL (VALUES
	(1, 'connection pool exhausted',
		CASE
			WHEN e.root = 1 AND (e.full_up OR e.keeps OR e.leaks_of_old) THEN 'culprit'
			WHEN e.full_up OR e.pool_tight OR e.server_tight THEN 'suspect'
			ELSE 'ok'
		END,
		0.6 + CASE WHEN e.keeps OR e.leaks_of_old THEN 0.3 ELSE 0 END + CASE WHEN e.waiting > 0 AND e.wait_mean_ms > 50 THEN 0.2 ELSE 0 END,
		format('Server: %s of %s connections in use (%s active, %s idle in transaction). ', e.used, e.slots, e.active,
			e.in_transaction)
		|| CASE WHEN e.pools = 0 THEN 'No sidecar reports, so waits before the server are not measured.'
			ELSE format('Pools: %s of %s connections active, %s clients wait (at most %s in the last minute, now for %s ms), p95 of'
				|| ' the wait %s ms, %s refused, %s timed out or expired in the queue.',
				e.pool_active, e.pool_size, e.waiting, e.peak_waiting, round(e.maxwait_ms::numeric), round(e.wait_p95_ms::numeric, 1),
				e.refused, e.wait_timeouts + e.expired_queued)
		END
		|| CASE WHEN e.keeps THEN format(' %s connections are kept by clients that do nothing with them, one for %s s: leaked.',
				e.kept, round(e.kept_s::numeric))
			WHEN e.leaks_of_old AND e.root = 1 THEN format(' %s of them are held by transactions that were left open, the oldest since %s s'
				|| ' by %s (%s): leaked.', e.held, round(e.holder_s::numeric), e.holder_application,
				coalesce(e.holder_client, 'directly connected'))
			ELSE '' END
		|| CASE WHEN NOT (e.full_up OR e.pool_tight) OR e.root IS NULL OR e.root = 1 THEN ''
			ELSE e.effect_of || CASE e.root WHEN 4 THEN 'slow statements hold the connections.'
				WHEN 5 THEN 'open transactions or locks hold the connections.'
				WHEN 2 THEN 'transactions stay open while the service thinks.'
				WHEN 3 THEN 'each round trip holds a connection for longer.'
				ELSE 'there are none to give.' END END,
		CASE WHEN e.root <> 1 THEN 'Treat the cause named in the evidence first.'
			WHEN e.keeps THEN 'In pgweir.ini: pool_mode = transaction; and client_idle_timeout = 60; then RELOAD. In the service: give'
				|| ' every borrowed connection back, also after an error (SELECT client, port, application_name, since_ms FROM'
				|| ' pgweir.linked() ORDER BY since_ms DESC;).'
			WHEN e.leaks_of_old THEN format('SELECT pg_terminate_backend(%s); and ALTER SYSTEM SET'
				|| ' idle_in_transaction_session_timeout = ''30s''; SELECT pg_reload_conf();', e.holder_pid)
			WHEN e.pools = 0 THEN 'Put the sidecar''s pool before the server (pool_mode = transaction), or'
				|| ' ALTER SYSTEM SET max_connections = ' || 2 * current_setting('max_connections')::integer || '; and restart.'
			ELSE format('In pgweir.ini: default_pool_size = %s; then RELOAD.', greatest(2 * e.worst_size, 2)) END,
		'A request that finds no free connection waits for one, however fast its statement is.',
		coalesce(pgweir.pressure_since('maxwait_ms', 20), pgweir.pressure_since('waiting', 1),
			CASE WHEN e.maxwait_ms > 0 THEN clock_timestamp() - e.maxwait_ms * interval '1 ms' END)),
	(2, 'service under-provisioned',
		CASE
			WHEN e.root = 2 THEN 'culprit'
			WHEN e.thinking OR e.connect_storm THEN 'suspect'
			WHEN e.statements = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		0.6 + CASE WHEN e.usual_think_ms IS NOT NULL AND e.thinks_long THEN 0.25 ELSE 0 END
			+ CASE WHEN e.drains THEN 0.1 ELSE 0 END,
		CASE WHEN e.statements = 0 THEN 'No statement ended in the last minute.'
			ELSE format('In transactions, clients took %s ms between statements on the average (%s %% of the time they held'
				|| ' a connection)', round(coalesce(e.think_now_ms, e.think_ms / greatest(e.thinks, 1))::numeric, 1),
				round((100 * e.think_ms / greatest(e.think_ms + e.busy_ms, 1))::numeric))
				|| CASE WHEN e.usual_think_ms IS NOT NULL THEN format(', usually %s ms', round(e.usual_think_ms::numeric, 1)) ELSE '' END
				|| format('; %s backends wait for a client to take its result; %s new sessions a second.', e.draining,
					round((e.connects / e.seconds)::numeric, 1))
				|| CASE WHEN e.cpu_short >= 0.5 THEN format(' The server''s own machine is short of processors: in %s %% of the last'
					|| ' seconds somebody waited for one, and everybody is slow.', round((100 * e.cpu_short)::numeric)) ELSE '' END END
		|| CASE WHEN e.thinking AND e.root <> 2 THEN e.effect_of || CASE e.root
				WHEN 3 THEN 'the network is between the statements.' ELSE 'connections held for another reason.' END
			ELSE '' END,
		'Give the service more CPU and memory, or more instances; keep slow work out of transactions. As a limit: ALTER'
			|| ' SYSTEM SET idle_in_transaction_session_timeout = ''10s''; SELECT pg_reload_conf();',
		'A service short of CPU or memory is slow between its statements, and holds connections meanwhile.',
		coalesce(pgweir.pressure_since('think_ms', 500), e.think_since)),
	(3, 'network latency or loss',
		CASE WHEN e.peers = 0 THEN 'not measured'
			WHEN e.root = 3 THEN 'culprit'
			WHEN e.net_bad THEN 'suspect'
			ELSE 'ok' END,
		0.6 + CASE WHEN e.lossy THEN 0.3 ELSE 0 END + CASE WHEN e.usual_rtt_ms IS NOT NULL AND e.far THEN 0.2 ELSE 0 END,
		CASE WHEN e.peers = 0 THEN 'No sidecar reports what its sockets measure, and the server does not know.'
			ELSE format('Of %s addresses the longest round trip is %s ms', e.peers, round(e.worst_rtt_ms::numeric, 1))
				|| CASE WHEN e.usual_rtt_ms IS NOT NULL THEN format(' (usually %s ms)', round(e.usual_rtt_ms::numeric, 1)) ELSE '' END
				|| format('; %s packets sent again', e.retrans)
				|| CASE WHEN e.segments > 0 THEN format(' of %s', e.segments) ELSE '' END
				|| format(', %s lost; worst: %s.', e.lost, e.worst_peer) END,
		format('Look at the way to %s: mtr -n ADDRESS; SELECT * FROM pgweir.peers() ORDER BY retrans DESC, rtt_ms DESC;', e.worst_peer),
		'Each round trip adds to each statement; a lost packet costs at least 200 ms.',
		CASE WHEN e.far THEN pgweir.pressure_since('rtt_us', 25000, 5) END),
	(4, 'inefficient queries',
		CASE
			WHEN e.root = 4 AND (e.slow_class OR e.full_up) THEN 'culprit'
			WHEN e.slow_class OR e.slow_now THEN 'suspect'
			WHEN e.statements = 0 AND e.active = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		0.65 + CASE WHEN e.slow_class AND e.slow_mean_ms >= 2 * e.slow_mean_before_ms THEN 0.2 ELSE 0 END
			+ CASE WHEN e.slow_class AND e.slow_blocks > 100 * greatest(e.slow_rows, 1) / 8 THEN 0.1 ELSE 0 END,
		CASE
			WHEN e.slow_class THEN format('Statement %s took %s %% of all time in the last %s s: %s calls of %s ms on the'
				|| ' average (p95 %s ms', e.slow_queryid,
				round((100 * e.slow_share)::numeric), round(e.slow_seconds::numeric), e.slow_calls, round(e.slow_mean_ms::numeric, 1),
				round(e.slow_p95_ms::numeric, 1))
				|| CASE WHEN e.slow_mean_before_ms IS NOT NULL THEN format('; before, %s ms on the average',
					round(e.slow_mean_before_ms::numeric, 1)) ELSE '' END
				|| format('), %s blocks read for %s rows each: %s', e.slow_blocks, e.slow_rows, left(e.slow_query, 200))
			WHEN e.slow_now THEN format('%s statements run for longer than usual, the longest for %s s: %s', e.slow_running,
				round(e.longest_s::numeric, 1), left(e.longest_query, 200))
			WHEN e.statements = 0 AND e.active = 0 THEN 'No statement ended in the last minute.'
			ELSE format('No class of statements that is slow takes a large part of the time (%s statements, %s connections'
				|| ' busy on the average).', e.statements, round((e.busy_ms / e.seconds / 1000)::numeric, 2)) END
		|| CASE WHEN e.slow_class AND e.full_up AND e.root = 4 THEN ' It fills the pool: cause 1 is its effect.' ELSE '' END,
		CASE
			WHEN e.slow_class AND e.slow_database <> current_database()
				THEN format('In database %s: SELECT ddl, reason FROM pgweir.index_suggestions WHERE %s = ANY (queryids);',
					e.slow_database, e.slow_queryid)
			WHEN e.slow_class
				THEN coalesce(pgweir.ddl_for(e.slow_queryid), format('No index is known to help. SELECT pgweir.explain_advice(%s);', e.slow_queryid))
			ELSE 'SELECT * FROM pgweir.running_queries; SELECT pg_cancel_backend(pid) for what should not run.' END,
		'An index lets a statement read the rows it wants instead of all; its connection is free that much sooner.',
		coalesce(pgweir.pressure_since('busy_ms', 500, 4), e.busy_since)),
	(5, 'application bugs after a deploy',
		CASE
			WHEN e.root = 5 AND e.buggy THEN 'culprit'
			WHEN e.errs OR e.leaks OR e.leaks_much OR e.repeats OR e.deadlocks > 0 OR e.locked THEN 'suspect'
			WHEN e.statements = 0 AND e.errors = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		0.6 + CASE WHEN e.release IS NOT NULL THEN 0.25 ELSE 0 END + CASE WHEN e.repeats_new THEN 0.1 ELSE 0 END
			+ CASE WHEN e.blocked_by_idle > 0 THEN 0.1 ELSE 0 END,
		CASE WHEN e.release IS NOT NULL THEN format('Application %s is new since %s. ', e.release, date_trunc('second', e.released)) ELSE '' END
		|| format('%s errors in %s statements of the last minute (%s in %s before)', e.errors, e.statements, e.errors_before,
			e.statements_before)
		|| CASE WHEN e.undefined_errors > 0 THEN format(', %s of them about names that do not exist, rights or syntax',
			e.undefined_errors) ELSE '' END
		|| CASE WHEN e.repeats THEN format('; one class came up to %s times in a row, %s times in all (N+1): %s', e.repeat_most,
			e.repeat_statements, left(e.repeat_query, 100)) ELSE '' END
		|| format('; %s deadlocks; %s transactions idle for long', e.deadlocks, greatest(e.leaked, CASE WHEN e.leaks_much THEN e.held ELSE 0 END))
		|| CASE WHEN e.leaks OR e.leaks_much THEN format(', the oldest since %s s in backend %s (%s%s), which block %s others; its last'
			|| ' statement: %s', round(e.holder_s::numeric), e.holder_pid, e.holder_application,
			coalesce(' at ' || e.holder_client, ''), e.blocked_by_idle, left(e.holder_query, 120)) ELSE '' END
		|| CASE WHEN e.locked THEN format('; %s of %s running statements wait for locks', e.lock_waiting, e.active)
			ELSE '' END || '.',
		CASE WHEN e.release IS NOT NULL AND e.root = 5 THEN format('Roll back %s. ', e.release) ELSE '' END
		|| CASE WHEN e.leaks OR e.leaks_much THEN format('SELECT pg_terminate_backend(%s); and ALTER SYSTEM SET'
				|| ' idle_in_transaction_session_timeout = ''30s''; SELECT pg_reload_conf();', e.holder_pid)
			WHEN e.locked THEN 'SELECT pid, blocked_by, blocker_query FROM pgweir.running_queries WHERE blocked_by <> ''{}'';'
			WHEN e.repeats THEN 'SELECT * FROM pgweir.repeats(); ask for all rows in one statement: WHERE id = ANY ($1).'
			ELSE 'Roll the last release back. SELECT query, errors, failed FROM pgweir.slow_queries WHERE errors > 0 ORDER'
				|| ' BY last_seen DESC; SELECT * FROM pgweir.pool_errors();' END,
		'A release that leaves transactions open keeps their connections and locks; one that asks for what is not there fails.',
		CASE WHEN e.release IS NOT NULL AND e.root = 5 THEN e.released
			WHEN e.errors_grew THEN e.errors_since
			WHEN e.leaks OR e.leaks_much THEN clock_timestamp() - e.holder_s * interval '1 s' END),
	(6, 'timeout of a dependency too short',
		CASE
			WHEN e.impatient THEN 'culprit'
			WHEN e.gives_up THEN 'suspect'
			WHEN e.pools = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		0.7 + CASE WHEN e.gone_cliff THEN 0.2 ELSE 0 END,
		CASE
			WHEN e.gives_up THEN format('In the last minute %s statements missed their deadline, %s were cancelled and %s ran'
				|| ' into statement_timeout', e.deadline_missed + e.expired_queued, e.cancelled, e.statement_timeouts)
				|| CASE WHEN e.gone > 0 THEN format('; %s clients went away before their answer', e.gone) ELSE '' END
				|| CASE WHEN e.gone_cliff THEN format(', most of them after %s ms: that is their timeout',
					round(e.gone_peak_ms::numeric)) ELSE '' END
				|| CASE WHEN e.quit_query IS NOT NULL THEN format('; most often given up: after %s ms on the average, what usually takes %s ms (p95 %s):'
					|| ' %s', round(e.quit_ms::numeric), round(e.quit_p50_ms::numeric), round(e.quit_p95_ms::numeric), left(e.quit_query, 120))
					ELSE '' END
				|| CASE WHEN e.deadline_p50_ms IS NOT NULL THEN format('; the usual deadline is %s ms, the p95 of run times %s ms',
					round(e.deadline_p50_ms::numeric), round(e.run_p95_ms::numeric, 1)) ELSE '' END || '.'
				|| CASE WHEN e.root IS NOT NULL THEN format(' An effect of cause %s.', e.root) ELSE '' END
			WHEN e.pools = 0 THEN 'No sidecar reports: clients that hang up without a cancel are not seen.'
			ELSE 'Clients wait for their answers.' END,
		CASE WHEN e.root IS NOT NULL THEN 'Treat the other cause first; then compare the deadline with p95_ms.'
			ELSE format('Give the caller more than the p95 of what it calls (%s ms): SET pgweir.deadline or its own timeout.',
				coalesce(round(greatest(e.quit_p95_ms, e.run_p95_ms, e.slow_p95_ms)::numeric, 1)::text, 'see pgweir.slow_queries')) END,
		'A caller that gives up before the usual answer comes throws the work away, and often repeats it.',
		coalesce(least(pgweir.pressure_since('cancelled', 1), pgweir.pressure_since('gone', 1)), e.gone_since)),
	(7, 'balancer points at nothing healthy (502)',
		CASE WHEN e.down THEN 'culprit'
			WHEN e.silent AND e.root IS NULL AND NOT e.leaks THEN 'culprit'
			WHEN e.connect_failures > 0 OR e.silent THEN 'suspect'
			WHEN e.usual_least >= 2 THEN 'ok'
			ELSE 'not measured' END,
		CASE WHEN e.down THEN 0.95 ELSE 0.7 END,
		CASE WHEN e.down OR e.connect_failures > 0
			THEN format('A sidecar failed %s times to connect to its server in the last minute', e.connect_failures)
				|| CASE WHEN e.failing_ms > 0 THEN format(', for %s s now without success', round((e.failing_ms / 1000)::numeric)) ELSE '' END
				|| CASE WHEN e.waiting > 0 THEN format('; %s clients wait for a connection', e.waiting) ELSE '' END
				|| coalesce(': ' || e.connect_error, '') || '.'
			WHEN e.silent THEN format('Nothing has been asked of the sidecar for %s s or longer, where usually there are %s statements a'
				|| ' second; %s clients are connected, nobody waits, nothing fails: the requests do not arrive.', e.silence_seconds,
				round(e.usual_rate::numeric, 1), e.pool_clients)
			WHEN e.usual_least >= 2 THEN format('Requests arrive, usually %s statements a second.', round(e.usual_rate::numeric, 1))
			ELSE 'A balancer in front of the service is not seen from the database.'
				|| CASE WHEN e.reporters > 0 THEN format(' The sidecar itself reports and reaches its server (%s logins in the last'
					|| ' minute).', e.logins) ELSE '' END END,
		CASE WHEN e.down OR e.connect_failures > 0 THEN 'Look at the sidecar''s log and its SHOW SERVERS; is the server of its [databases]'
				|| ' entry up and is the address right?'
			ELSE 'Look at the balancer''s log and its upstream: does it point at where the service listens, and does it ask a'
				|| ' health check there?' END,
		'A balancer without a healthy upstream answers 502 by itself, whatever the database does.',
		CASE WHEN e.down THEN coalesce(pgweir.pressure_since('connect_failures', 1), clock_timestamp() - e.failing_ms * interval '1 ms')
			WHEN e.silent THEN clock_timestamp() - e.silence_seconds * interval '1 s' END)
) AS r (cause, name, verdict, certainty, evidence, remedy, why, since)
ORDER BY r.cause;
END
$$;
REVOKE ALL ON FUNCTION pgweir.diagnose() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.diagnose() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.diagnose() IS
'the rows of pgweir.diagnosis';

CREATE VIEW pgweir.diagnosis AS
SELECT d.cause, d.name, d.verdict, d.confidence, d.evidence, d.remedy, d.why, d.since FROM pgweir.diagnose() AS d;
COMMENT ON VIEW pgweir.diagnosis IS
'for each of the seven causes of an unresponsive service: verdict, confidence, evidence, what to do, why it works, since when';
GRANT SELECT ON pgweir.diagnosis TO pg_read_all_stats;
