-- == pressure ==

--
-- What is held to be too much.  The setting pgweir.thresholds changes single ones: 'wait_ms=100, rtt_ms=80'.
--
CREATE FUNCTION pgweir.thresholds(
	OUT slots_tight double precision,		-- share of connections in use
	OUT slots_exhausted double precision,
	OUT wait_ms double precision,			-- wait for a server connection, mean of the last seconds, or of the longest now
	OUT slow_ms double precision,			-- mean of a statement class in the last seconds
	OUT slow_growth double precision,		-- times its mean before: half the load for some seconds is enough, instead of a minute of it
	OUT slow_share double precision,		-- of all time in statements
	OUT slow_running_s double precision,	-- a statement runs this long
	OUT load double precision,				-- connections kept busy on the average
	OUT lock_share double precision,		-- of the running statements, those that wait for locks
	OUT idle_in_transaction_s double precision,	-- a transaction left open
	OUT held_s double precision,			-- ... when many connections of a full pool are held so
	OUT held_share double precision,		-- how many: of the pool
	OUT think_share double precision,		-- of the time in transactions, that between statements
	OUT think_ms double precision,			-- mean time between statements of a transaction
	OUT think_growth double precision,		-- times the usual
	OUT connects_per_s double precision,	-- new sessions
	OUT drain_share double precision,		-- of query time, that in which a result waits for its client
	OUT cpu_short double precision,			-- of the last seconds, in which some process waited for a processor: everybody is slow
	OUT rtt_ms double precision,			-- mean round trip of an address; below, it may be acknowledgements that wait
	OUT rtt_growth double precision,		-- times the usual
	OUT retrans_min double precision,		-- packets sent again in a minute; fewer prove nothing
	OUT retrans_share double precision,		-- of those sent
	OUT lost_share double precision,		-- packets now lost, per connection to an address to which half of retrans_min or more were sent again
	OUT errors_min double precision,		-- in a minute; fewer prove nothing
	OUT error_share double precision,		-- of statements
	OUT error_growth double precision,		-- times the rate before
	OUT deploy_s double precision,			-- an application_name is new for so long
	OUT repeat_share double precision,		-- of the pools' statements, those of transactions that repeat a class (N+1)
	OUT repeat_units double precision,		-- such transactions in a minute; fewer prove nothing
	OUT gone_min double precision,			-- clients that gave up in a minute
	OUT gone_peak_share double precision,	-- of them, those that did so at the same age
	OUT gone_s double precision,			-- they have done so for this long, and nothing else explains it
	OUT silence_s double precision,			-- no request for so long, where
	OUT silence_rate double precision)		-- there usually are so many a second
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT * FROM jsonb_to_record('{
		"slots_tight": 0.8, "slots_exhausted": 0.95, "wait_ms": 50,
		"slow_ms": 10, "slow_growth": 4, "slow_share": 0.4, "slow_running_s": 5, "load": 0.5, "lock_share": 0.5,
		"idle_in_transaction_s": 10, "held_s": 3, "held_share": 0.5,
		"think_share": 0.5, "think_ms": 20, "think_growth": 5, "connects_per_s": 20, "drain_share": 0.5,
		"cpu_short": 0.5, "rtt_ms": 60, "rtt_growth": 2, "retrans_min": 10, "retrans_share": 0.01, "lost_share": 0.1,
		"errors_min": 5, "error_share": 0.01, "error_growth": 3, "deploy_s": 900, "repeat_share": 0.3, "repeat_units": 5,
		"gone_min": 5, "gone_peak_share": 0.5, "gone_s": 8, "silence_s": 8, "silence_rate": 2}'::jsonb
		|| (SELECT coalesce(jsonb_object_agg(trim(split_part(s.pair, '=', 1)), split_part(s.pair, '=', 2)::float8), '{}')
			FROM unnest(string_to_array(nullif(trim(current_setting('pgweir.thresholds', true)), ''), ',')) AS s (pair)))
	AS (slots_tight float8, slots_exhausted float8, wait_ms float8, slow_ms float8, slow_growth float8, slow_share float8, slow_running_s float8,
		load float8, lock_share float8, idle_in_transaction_s float8, held_s float8, held_share float8, think_share float8,
		think_ms float8, think_growth float8, connects_per_s float8, drain_share float8, cpu_short float8, rtt_ms float8, rtt_growth float8,
		retrans_min float8, retrans_share float8, lost_share float8, errors_min float8, error_share float8,
		error_growth float8, deploy_s float8, repeat_share float8, repeat_units float8, gone_min float8, gone_peak_share float8, gone_s float8,
		silence_s float8, silence_rate float8)
$$;
COMMENT ON FUNCTION pgweir.thresholds() IS
'what pool_pressure and diagnosis hold to be too much, with what the setting pgweir.thresholds changes';

CREATE FUNCTION pgweir.server_slots() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
		- coalesce(current_setting('reserved_connections', true)::integer, 0)
$$;
COMMENT ON FUNCTION pgweir.server_slots() IS
'connections that the server has for ordinary users';

CREATE VIEW pgweir.pool_pressure AS
WITH backend AS (
	SELECT a.*, a.state LIKE 'idle in transaction%' AS in_transaction, pgweir.ms_since(a.state_change) / 1000 AS age_s
	FROM pg_stat_activity AS a
	WHERE a.backend_type = 'client backend'
), trend AS (
	-- How many connections are asked for, more with each second of the last minute.
	SELECT m.scope, m.reporter, m.database, m.username, regr_slope(m.used, extract(epoch FROM m.at)::float8) AS per_s,
		regr_r2(m.used, extract(epoch FROM m.at)::float8) AS steadiness, count(*) AS seconds
	FROM (
		SELECT *, (active + in_transaction + opening + CASE WHEN scope = 'server' THEN idle ELSE waiting END)::float8 AS used
		FROM pgweir.pressure_moments(false, clock_timestamp() - interval '60 s', 'infinity')
	) AS m
	GROUP BY m.scope, m.reporter, m.database, m.username
), recent AS (
	SELECT sum(t.deadline_missed)::bigint AS deadline_missed
	FROM pgweir.timeline() AS t
	WHERE t.at > clock_timestamp() - interval '60 s'
), grouped AS (
	SELECT CASE grouping(b.datname, b.usename)
			WHEN 3 THEN 'server' WHEN 1 THEN 'database' WHEN 2 THEN 'user' ELSE 'database+user' END AS scope,
		b.datname AS database, b.usename AS username,
		count(*) FILTER (WHERE b.state IN ('active', 'fastpath function call')) AS active,
		count(*) FILTER (WHERE b.state = 'idle') AS idle,
		count(*) FILTER (WHERE b.in_transaction) AS idle_in_transaction,
		count(*) FILTER (WHERE b.state IS NULL) AS opening,
		count(*) AS used,
		(array_agg(b.pid ORDER BY b.age_s DESC) FILTER (WHERE b.in_transaction))[1] AS holder_pid,
		max(b.age_s) FILTER (WHERE b.in_transaction) AS holder_s
	FROM backend AS b
	GROUP BY GROUPING SETS ((), (b.datname), (b.usename), (b.datname, b.usename))
), limited AS (
	SELECT g.*,
		CASE g.scope
			WHEN 'server' THEN pgweir.server_slots()
			WHEN 'database' THEN (SELECT nullif(d.datconnlimit, -1) FROM pg_database AS d WHERE d.datname = g.database)
			WHEN 'user' THEN (SELECT nullif(r.rolconnlimit, -1) FROM pg_roles AS r WHERE r.rolname = g.username)
		END::bigint AS size
	FROM grouped AS g
), pool AS (
	SELECT p.*, h.in_transaction, h.holder_pid, h.holder_s
	FROM pgweir.pools() AS p
	LEFT JOIN (
		SELECT l.reporter, l.database, l.username, count(*) AS in_transaction,
			(array_agg(b.pid ORDER BY b.age_s DESC))[1] AS holder_pid, max(b.age_s) AS holder_s
		FROM pgweir.linked() AS l
		JOIN backend AS b ON b.pid = l.pid AND b.in_transaction
		GROUP BY l.reporter, l.database, l.username
	) AS h USING (reporter, database, username)
), counted AS (
	SELECT l.scope, NULL::text AS reporter, l.database::text, l.username::text, l.size, l.active, l.idle,
		l.idle_in_transaction, NULL::bigint AS waiting, l.opening, l.used,
		NULL::float8 AS wait_p50_ms, NULL::float8 AS wait_p95_ms, NULL::float8 AS wait_p99_ms, NULL::float8 AS maxwait_ms,
		NULL::bigint AS refused,
		CASE WHEN l.scope = 'server' THEN coalesce(r.deadline_missed, 0) END AS deadline_missed,
		l.holder_pid, l.holder_s
	FROM limited AS l CROSS JOIN recent AS r
	UNION ALL
	SELECT 'pool', p.reporter, p.database, p.username, p.size,
		p.sv_active - coalesce(p.in_transaction, 0), p.sv_idle + p.sv_used + p.sv_tested,
		coalesce(p.in_transaction, 0), p.cl_waiting, p.sv_login, p.sv_active + p.sv_login,
		p.wait_p50_ms, p.wait_p95_ms, p.wait_p99_ms, p.maxwait_us / 1000.0,
		p.refused + p.wait_timeouts, p.expired_queued + p.expired_running + p.expired_grace,
		p.holder_pid, p.holder_s
	FROM pool AS p
), rated AS (
	SELECT c.*,
		CASE WHEN c.size > 0 THEN least(1, (c.used + coalesce(c.waiting, 0))::float8 / c.size) END AS pressure
	FROM counted AS c
)
SELECT r.scope, r.reporter, r.database, r.username, r.size, r.active, r.idle, r.idle_in_transaction, r.waiting,
	r.opening, r.wait_p50_ms, r.wait_p95_ms, r.wait_p99_ms, r.maxwait_ms, r.refused, r.deadline_missed,
	r.holder_pid AS oldest_holder_pid, r.holder_s AS oldest_holder_s, r.pressure,
	h.query AS oldest_holder_query,
	coalesce(l.client || ':' || l.port, host(h.client_addr) || ':' || h.client_port) AS oldest_holder_client,
	coalesce(nullif(l.application_name, ''), h.application_name) AS oldest_holder_application,
	CASE WHEN r.pressure >= 1 THEN 0 WHEN n.seconds >= 10 AND n.per_s > 0 AND n.steadiness >= 0.5
		THEN (r.size - r.used - coalesce(r.waiting, 0)) / n.per_s END AS exhausted_in_s,
	CASE
		WHEN r.scope = 'pool' AND r.waiting > 0 AND r.used >= r.size
			THEN format('exhausted: %s clients wait for %s connections, the first for %s ms', r.waiting, r.size,
				round(r.maxwait_ms::numeric, 1))
		WHEN r.scope = 'pool' AND r.refused > 0
			THEN format('overloaded: %s requests refused in the last minute', r.refused)
		WHEN r.scope = 'pool' AND r.wait_p95_ms >= t.wait_ms
			THEN format('tight: one in twenty waits %s ms or longer', round(r.wait_p95_ms::numeric, 1))
		WHEN r.pressure IS NULL THEN 'no limit of its own'
		WHEN r.scope <> 'pool' AND r.pressure >= t.slots_exhausted
			THEN format('exhausted: %s of %s connections in use', r.used, r.size)
		WHEN r.scope <> 'pool' AND r.pressure >= t.slots_tight
			THEN format('tight: %s of %s connections in use', r.used, r.size)
		WHEN r.scope = 'pool' AND r.used >= r.size THEN 'full, nobody waits'
		ELSE 'ok'
	END
	|| CASE WHEN r.holder_s >= t.idle_in_transaction_s
		THEN format('; backend %s has been idle in a transaction for %s s', r.holder_pid, round(r.holder_s::numeric))
		ELSE '' END AS verdict
FROM rated AS r CROSS JOIN pgweir.thresholds() AS t
LEFT JOIN backend AS h ON h.pid = r.holder_pid
LEFT JOIN pgweir.linked() AS l ON l.pid = r.holder_pid
LEFT JOIN trend AS n ON n.scope = r.scope AND n.reporter IS NOT DISTINCT FROM r.reporter
	AND n.database IS NOT DISTINCT FROM r.database AND n.username IS NOT DISTINCT FROM r.username
ORDER BY r.pressure DESC NULLS LAST, r.scope;
COMMENT ON VIEW pgweir.pool_pressure IS
'connections of the server, of its databases and users, and of the pools of sidecars: who holds them, who waits';
GRANT SELECT ON pgweir.pool_pressure TO pg_read_all_stats;
