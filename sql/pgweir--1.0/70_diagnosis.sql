-- == diagnosis ==

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
		count(*) FILTER (WHERE b.state = 'active' AND b.wait_event_type IS DISTINCT FROM 'Lock'
			AND b.query_s >= t.slow_running_s) AS slow_running,
		max(b.query_s) FILTER (WHERE b.state = 'active' AND b.wait_event_type IS DISTINCT FROM 'Lock') AS longest_s,
		(array_agg(b.query ORDER BY b.query_s DESC) FILTER (WHERE b.state = 'active'
			AND b.wait_event_type IS DISTINCT FROM 'Lock'))[1] AS longest_query
	FROM backend AS b CROSS JOIN t
), holder AS (
	SELECT b.pid AS holder_pid, b.state_s AS holder_s, b.query AS holder_query, b.application_name AS holder_application
	FROM backend AS b
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
), class AS (
	SELECT s.queryid, s.dbid, s.query, s.recent_calls, s.recent_ms, s.p50_ms, s.p95_ms, s.first_seen,
		s.statement_timeouts, s.cancelled, s.deadline_missed,
		s.recent_ms / nullif(s.recent_calls, 0) AS mean_ms,
		s.recent_ms / nullif(sum(s.recent_ms) OVER (), 0) AS share,
		(s.shared_blks_hit + s.shared_blks_read) / greatest(s.calls, 1) AS blocks_per_call,
		s.rows / greatest(s.calls, 1) AS rows_per_call
	FROM pgweir.statements(true) AS s
	-- Not those of whoever is looking.
	WHERE s.toplevel AND s.recent_calls > 0 AND s.query !~ '\mpgweir\.'
), slowest AS (
	SELECT c.* FROM class AS c CROSS JOIN t
	WHERE c.mean_ms >= t.slow_ms
	ORDER BY c.recent_ms DESC LIMIT 1
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
		coalesce(sum(p.connects), 0) AS server_connects,
		coalesce(sum(p.logins), 0) AS logins,
		coalesce(sum(p.think_us), 0) / 1000.0 AS pool_think_ms,
		coalesce(sum(p.think_n), 0) AS pool_thinks,
		coalesce(sum(p.drain_us), 0) / 1000.0 AS drain_ms,
		coalesce(sum(p.query_us), 0) / 1000.0 AS pool_query_ms,
		max(p.run_p95_ms) AS run_p95_ms,
		min(p.deadline_p50_ms) AS deadline_p50_ms,
		bool_or(p.size > 0 AND p.sv_active >= p.size AND p.cl_waiting > 0) AS exhausted
	FROM pgweir.pools() AS p
), worst_pool AS (
	SELECT format('%s/%s', p.database, p.username) AS worst_pool, p.size AS worst_size, p.cl_waiting AS worst_waiting,
		p.wait_p95_ms AS worst_wait_p95_ms, p.gone_peak_ms, p.gone_peak_share
	FROM pgweir.pools() AS p
	ORDER BY p.cl_waiting + p.peak_waiting DESC, p.wait_p95_ms DESC NULLS LAST LIMIT 1
), net AS (
	SELECT count(*) AS peers, max(n.rtt_ms) AS worst_rtt_ms, coalesce(sum(n.retrans), 0) AS retrans,
		coalesce(sum(n.lost), 0) AS lost, max(n.lost::float8 / n.n) AS worst_lost_share,
		(array_agg(n.kind || ' ' || n.addr ORDER BY n.lost::float8 / n.n DESC, n.rtt_ms DESC))[1] AS worst_peer
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
	b.*, h.*, bl.*, l.*, p.*, w.*, n.*,
	s.queryid AS slow_queryid, s.query AS slow_query, s.recent_calls AS slow_calls, s.recent_ms AS slow_recent_ms,
	s.mean_ms AS slow_mean_ms, s.p95_ms AS slow_p95_ms, s.share AS slow_share, s.blocks_per_call AS slow_blocks,
	s.rows_per_call AS slow_rows, d.datname AS slow_database,
	e.errors_since, e.busy_since, e.gone_since, e.think_since
FROM backends AS b CROSS JOIN times AS l CROSS JOIN pools AS p CROSS JOIN net AS n CROSS JOIN blocking AS bl
CROSS JOIN since AS e
LEFT JOIN holder AS h ON true
LEFT JOIN slowest AS s ON true
LEFT JOIN pg_database AS d ON d.oid = s.dbid
LEFT JOIN worst_pool AS w ON true;
COMMENT ON VIEW pgweir.signals IS
'the figures that diagnosis is drawn from; counts and sums are of the last minute';
GRANT SELECT ON pgweir.signals TO pg_read_all_stats;

--
-- The rules.  "judged" says for each cause whether its signs are there; "diagnosis" tells culprits from effects: a pool
-- that is full because statements are slow, because transactions are left open, or because the service thinks
-- inside of them, is an effect and not the culprit.
--
CREATE VIEW pgweir.diagnosis AS
WITH judged AS MATERIALIZED (
	SELECT s.*, t.wait_ms AS t_wait_ms,
		s.used::float8 / nullif(s.slots, 0) AS slots_used,
		-- 1: somebody waits or is refused
		(s.used >= t.slots_exhausted * s.slots) AS server_full,
		coalesce(s.exhausted, false) OR s.wait_p95_ms >= t.wait_ms OR s.refused + s.wait_timeouts + s.expired_queued
			>= t.gone_min AS pool_full,
		s.used >= t.slots_tight * s.slots AS server_tight,
		-- 4: one class takes most of the time and is slow; or statements run and run
		coalesce(s.slow_share >= t.slow_share AND s.slow_recent_ms >= t.load * s.seconds * 1000, false) AS slow_class,
		s.slow_running > 0 AS slow_now,
		s.lock_waiting > 0 AND s.lock_waiting >= t.lock_share * s.active AS locked,
		-- 5
		s.errors >= t.errors_min AND s.errors >= t.error_share * s.statements AS errs,
		s.errors >= t.errors_min AND s.errors >= t.error_share * s.statements
			AND s.errors::float8 / greatest(s.statements, 1)
				>= t.error_growth * s.errors_before / greatest(s.statements_before, 1) AS errors_grew,
		s.leaked > 0 AS leaks,
		s.leaked > 0 AND (s.leaked >= 0.25 * greatest(s.pool_size, 1) OR s.blocked_by_idle > 0
			OR s.leaked >= 0.25 * s.used) AS leaks_much,
		-- 2
		s.thinks > 0 AND s.think_ms >= t.think_share * (s.think_ms + s.busy_ms)
			AND s.think_ms / greatest(s.thinks, 1) >= t.think_ms AND s.think_ms >= t.load * s.seconds * 1000 AS thinks_long,
		s.drain_ms >= t.drain_share * greatest(s.pool_query_ms, 1) AND s.drain_ms >= 1000
			OR s.draining >= 2 AND s.draining >= 0.5 * s.active AS drains,
		s.connects / s.seconds >= t.connects_per_s AS connect_storm,
		-- 3
		s.worst_rtt_ms >= t.rtt_ms OR s.worst_lost_share >= t.lost_share AS net_bad,
		-- 6
		s.gone + s.expired_queued + s.expired_running >= t.gone_min
			OR s.deadline_missed + s.cancelled + s.statement_timeouts >= t.gone_min AS gives_up,
		s.gone >= t.gone_min AND s.gone_peak_share >= t.gone_peak_share AS gone_cliff
	FROM pgweir.signals AS s CROSS JOIN pgweir.thresholds() AS t
	), explained AS (
	SELECT j.*,
		j.pool_full OR j.server_full AS full_up,
		(j.slow_class OR j.slow_now) AND NOT j.locked AS slow,
		j.leaks_much OR j.errors_grew AS buggy,
		j.thinks_long OR j.drains AS thinking
	FROM judged AS j
)
SELECT r.cause, r.name, r.verdict, r.evidence,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.remedy END AS remedy,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.why END AS why,
	CASE WHEN r.verdict IN ('suspect', 'culprit') THEN r.since END AS since
FROM explained AS e
CROSS JOIN LATERAL (VALUES
	(1, 'connection pool exhausted',
		CASE
			WHEN NOT e.full_up AND NOT e.server_tight THEN 'ok'
			WHEN e.full_up AND NOT e.slow AND NOT e.leaks_much AND NOT e.thinks_long AND NOT e.locked THEN 'culprit'
			ELSE 'suspect'
		END,
		format('Server: %s of %s connections in use (%s active, %s idle in transaction). ', e.used, e.slots, e.active,
			e.in_transaction)
		|| CASE WHEN e.pools = 0 THEN 'No sidecar reports, so waits before the server are not measured.'
			ELSE format('Pools: %s of %s connections active, %s clients wait (at most %s in the last minute), p95 of the wait'
				|| ' %s ms, %s refused, %s timed out or expired in the queue.',
				e.pool_active, e.pool_size, e.waiting, e.peak_waiting, round(e.wait_p95_ms::numeric, 1), e.refused,
				e.wait_timeouts + e.expired_queued)
		END
		|| CASE WHEN e.full_up AND e.slow THEN ' An effect of cause 4: slow statements hold the connections.'
			WHEN e.full_up AND (e.leaks_much OR e.locked) THEN ' An effect of cause 5: open transactions hold the connections.'
			WHEN e.full_up AND e.thinks_long THEN ' An effect of cause 2: transactions stay open while the service thinks.'
			ELSE '' END,
		CASE WHEN e.slow OR e.leaks_much OR e.locked OR e.thinks_long THEN 'Treat the cause named in the evidence first.'
			WHEN e.pools = 0 THEN 'Put the sidecar''s pool before the server (pool_mode = transaction), or'
				|| ' ALTER SYSTEM SET max_connections = ' || 2 * current_setting('max_connections')::integer || '; and restart.'
			ELSE format('In pgweir.ini: default_pool_size = %s; then RELOAD.', greatest(2 * e.worst_size, 2)) END,
		'A request that finds no free connection waits for one, however fast its statement is.',
		CASE WHEN e.slow THEN e.busy_since WHEN e.thinks_long THEN e.think_since
			WHEN e.maxwait_ms > 0 THEN clock_timestamp() - e.maxwait_ms * interval '1 ms' END),
	(2, 'service under-provisioned',
		CASE
			WHEN (e.thinks_long OR e.drains) AND NOT e.leaks_much THEN CASE WHEN e.full_up AND NOT e.slow THEN 'culprit'
				ELSE 'suspect' END
			WHEN e.thinks_long OR e.drains OR e.connect_storm THEN 'suspect'
			WHEN e.statements = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		CASE WHEN e.statements = 0 THEN 'No statement ended in the last minute.'
			ELSE format('In transactions, clients took %s ms between statements on the average (%s %% of the time they held'
				|| ' a connection); %s backends wait for a client to take its result; %s new sessions a second.',
				round((e.think_ms / greatest(e.thinks, 1))::numeric, 1),
				round((100 * e.think_ms / greatest(e.think_ms + e.busy_ms, 1))::numeric), e.draining,
				round((e.connects / e.seconds)::numeric, 1)) END,
		'Give the service more CPU and memory, or more instances; keep slow work out of transactions. As a limit: ALTER'
			|| ' SYSTEM SET idle_in_transaction_session_timeout = ''10s''; SELECT pg_reload_conf();',
		'A service short of CPU or memory is slow between its statements, and holds connections meanwhile.',
		e.think_since),
	(3, 'network latency or loss',
		CASE WHEN e.peers = 0 THEN 'not measured'
			WHEN e.net_bad AND NOT (e.slow OR e.full_up OR e.buggy) THEN 'culprit'
			WHEN e.net_bad THEN 'suspect'
			ELSE 'ok' END,
		CASE WHEN e.peers = 0 THEN 'No sidecar reports what its sockets measure, and the server does not know.'
			ELSE format('Of %s addresses the longest round trip is %s ms; %s packets sent again, %s lost; worst: %s.',
				e.peers, round(e.worst_rtt_ms::numeric, 1), e.retrans, e.lost, e.worst_peer) END,
		format('Look at the way to %s: mtr -n ADDRESS; SELECT * FROM pgweir.peers() ORDER BY rtt_ms DESC;', e.worst_peer),
		'Each round trip adds to each statement; a lost packet costs at least 200 ms.',
		NULL),
	(4, 'inefficient queries',
		CASE
			WHEN e.slow_class AND NOT e.locked THEN 'culprit'
			WHEN e.slow_now AND NOT e.locked THEN CASE WHEN e.full_up THEN 'culprit' ELSE 'suspect' END
			WHEN e.statements = 0 AND e.active = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		CASE
			WHEN e.slow_class THEN format('Statement %s took %s %% of all time in the last minute: %s calls of %s ms on the'
				|| ' average (p95 %s ms), %s blocks read for %s rows each: %s', e.slow_queryid,
				round((100 * e.slow_share)::numeric), e.slow_calls, round(e.slow_mean_ms::numeric, 1),
				round(e.slow_p95_ms::numeric, 1), e.slow_blocks, e.slow_rows, left(e.slow_query, 200))
			WHEN e.slow_now THEN format('%s statements run for longer than usual, the longest for %s s: %s', e.slow_running,
				round(e.longest_s::numeric, 1), left(e.longest_query, 200))
			WHEN e.statements = 0 AND e.active = 0 THEN 'No statement ended in the last minute.'
			ELSE format('No class of statements that is slow takes a large part of the time (%s statements, %s connections'
				|| ' busy on the average).', e.statements, round((e.busy_ms / e.seconds / 1000)::numeric, 2)) END,
		CASE
			WHEN e.slow_class AND e.slow_database <> current_database()
				THEN format('In database %s: SELECT ddl, reason FROM pgweir.index_suggestions WHERE %s = ANY (queryids);',
					e.slow_database, e.slow_queryid)
			WHEN e.slow_class
				THEN coalesce(
					(SELECT string_agg(i.ddl, E'\n' ORDER BY i.gain_pct DESC) FROM pgweir.index_suggestions AS i
						WHERE e.slow_queryid = ANY (i.queryids) AND i.action <> 'drop'),
					format('No index is known to help. SELECT pgweir.explain_advice(%s);', e.slow_queryid))
			ELSE 'SELECT * FROM pgweir.running_queries; SELECT pg_cancel_backend(pid) for what should not run.' END,
		'An index lets a statement read the rows it wants instead of all; its connection is free that much sooner.',
		e.busy_since),
	(5, 'application bugs after a deploy',
		CASE
			WHEN e.leaks_much OR e.errors_grew THEN 'culprit'
			WHEN e.errs OR e.leaks OR e.deadlocks > 0 OR e.locked THEN 'suspect'
			WHEN e.statements = 0 AND e.errors = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		format('%s errors in %s statements of the last minute (%s in %s before)', e.errors, e.statements, e.errors_before,
			e.statements_before)
		|| CASE WHEN e.undefined_errors > 0 THEN format(', %s of them about names that do not exist, rights or syntax',
			e.undefined_errors) ELSE '' END
		|| format('; %s deadlocks; %s transactions idle for long', e.deadlocks, e.leaked)
		|| CASE WHEN e.leaks THEN format(', the oldest since %s s in backend %s (%s), which block %s others; its last'
			|| ' statement: %s', round(e.holder_s::numeric), e.holder_pid, e.holder_application, e.blocked_by_idle,
			left(e.holder_query, 120)) ELSE '' END
		|| CASE WHEN e.locked THEN format('; %s of %s running statements wait for locks', e.lock_waiting, e.active)
			ELSE '' END || '.',
		CASE WHEN e.leaks THEN format('SELECT pg_terminate_backend(%s); and ALTER SYSTEM SET'
				|| ' idle_in_transaction_session_timeout = ''30s''; SELECT pg_reload_conf();', e.holder_pid)
			WHEN e.locked THEN 'SELECT pid, blocked_by, blocker_query FROM pgweir.running_queries WHERE blocked_by <> ''{}'';'
			ELSE 'Roll the last release back. SELECT query, errors, failed FROM pgweir.slow_queries WHERE errors > 0 ORDER'
				|| ' BY last_seen DESC; SELECT * FROM pgweir.pool_errors();' END,
		'A release that leaves transactions open keeps their connections and locks; one that asks for what is not there fails.',
		CASE WHEN e.errors_grew THEN e.errors_since
			WHEN e.leaks THEN clock_timestamp() - e.holder_s * interval '1 s' END),
	(6, 'timeout of a dependency too short',
		CASE
			WHEN e.gives_up AND (e.slow OR e.full_up OR e.locked) THEN 'suspect'
			WHEN e.gives_up THEN 'culprit'
			WHEN e.pools = 0 THEN 'not measured'
			ELSE 'ok'
		END,
		CASE
			WHEN e.gives_up THEN format('In the last minute %s statements missed their deadline, %s were cancelled and %s ran'
				|| ' into statement_timeout', e.deadline_missed + e.expired_queued, e.cancelled, e.statement_timeouts)
				|| CASE WHEN e.gone > 0 THEN format('; %s clients went away before their answer', e.gone) ELSE '' END
				|| CASE WHEN e.gone_cliff THEN format(', most of them after %s ms: that is their timeout',
					round(e.gone_peak_ms::numeric)) ELSE '' END
				|| CASE WHEN e.deadline_p50_ms IS NOT NULL THEN format('; the usual deadline is %s ms, the p95 of run times %s ms',
					round(e.deadline_p50_ms::numeric), round(e.run_p95_ms::numeric, 1)) ELSE '' END || '.'
				|| CASE WHEN e.slow THEN ' An effect of cause 4.' WHEN e.full_up THEN ' An effect of cause 1.' ELSE '' END
			WHEN e.pools = 0 THEN 'No sidecar reports: clients that hang up without a cancel are not seen.'
			ELSE 'Clients wait for their answers.' END,
		CASE WHEN e.slow OR e.full_up THEN 'Treat the other cause first; then compare the deadline with p95_ms.'
			ELSE format('Give the caller more than the p95 of what it calls (%s ms): SET pgweir.deadline or its own timeout.',
				coalesce(round(greatest(e.run_p95_ms, e.slow_p95_ms)::numeric, 1)::text, 'see pgweir.slow_queries')) END,
		'A caller that gives up before the usual answer comes throws the work away, and often repeats it.',
		e.gone_since),
	(7, 'balancer points at nothing healthy (502)',
		CASE WHEN e.connect_failures > 0 THEN 'suspect' ELSE 'not measured' END,
		CASE WHEN e.connect_failures > 0
			THEN format('A sidecar failed %s times to connect to its server in the last minute.', e.connect_failures)
			ELSE 'A balancer in front of the service is not seen from the database.'
				|| CASE WHEN e.reporters > 0 THEN format(' The sidecar itself reports and reaches its server (%s logins in the'
					|| ' last minute).', e.logins) ELSE '' END END,
		'Look at the sidecar''s log and its SHOW SERVERS; at the balancer, ask a health check for each upstream.',
		'A balancer without a healthy upstream answers 502 by itself, whatever the database does.',
		NULL)
) AS r (cause, name, verdict, evidence, remedy, why, since)
ORDER BY r.cause;
COMMENT ON VIEW pgweir.diagnosis IS
'for each of the seven causes of an unresponsive service: verdict, evidence, what to do, why it works, since when';
GRANT SELECT ON pgweir.diagnosis TO pg_read_all_stats;
