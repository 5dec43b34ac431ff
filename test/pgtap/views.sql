-- The contract of the views: their columns and types, in order, and what each view is for.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages TO warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgweir;
SELECT no_plan();

CREATE FUNCTION columns_of(view regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = view AND attnum > 0 AND NOT attisdropped
$$;

SELECT is(columns_of('pgweir.slow_queries'),
	'userid oid, username name, database name, queryid bigint, toplevel boolean, query text, calls bigint, total_ms double precision, '
	'mean_ms double precision, min_ms double precision, max_ms double precision, stddev_ms double precision, p50_ms double precision, '
	'p95_ms double precision, p99_ms double precision, plans bigint, plan_ms double precision, generic_plan_calls bigint, '
	'custom_plan_calls bigint, rows bigint, shared_blks_hit bigint, shared_blks_read bigint, shared_blks_dirtied bigint, '
	'shared_blks_written bigint, local_blks_hit bigint, local_blks_read bigint, local_blks_dirtied bigint, local_blks_written bigint, '
	'temp_blks_read bigint, temp_blks_written bigint, blk_read_ms double precision, blk_write_ms double precision, local_blk_read_ms '
	'double precision, local_blk_write_ms double precision, temp_blk_read_ms double precision, temp_blk_write_ms double precision, '
	'wal_records bigint, wal_fpi bigint, wal_bytes bigint, jit_calls bigint, jit_functions bigint, jit_generation_ms double precision, '
	'jit_inlining_ms double precision, jit_optimization_ms double precision, jit_emission_ms double precision, completed bigint, '
	'completed_ms double precision, failed bigint, failed_ms double precision, cancelled bigint, cancelled_ms double precision, '
	'statement_timeouts bigint, statement_timeout_ms double precision, lock_timeouts bigint, lock_timeout_ms double precision, '
	'deadline_missed bigint, deadline_missed_ms double precision, deadlocks bigint, deadlock_ms double precision, terminated bigint, '
	'terminated_ms double precision, errors bigint, errors_ms double precision, data_errors bigint, data_error_ms double precision, '
	'integrity_errors bigint, integrity_error_ms double precision, serialization_failures bigint, serialization_failure_ms double '
	'precision, access_errors bigint, access_error_ms double precision, resource_errors bigint, resource_error_ms double precision, '
	'other_errors bigint, other_error_ms double precision, recent_calls bigint, recent_ms double precision, first_seen timestamp with '
	'time zone, last_seen timestamp with time zone, query_truncated boolean, top_wait text, waits text[], relids oid[], relations '
	'text[], dbid oid',
	'columns of slow_queries');
SELECT is(columns_of('pgweir.running_queries'),
	'pid integer, username name, database name, application_name text, queryid bigint, query text, '
	'elapsed_ms double precision, calls bigint, p50_ms double precision, p95_ms double precision, '
	'p99_ms double precision, times_p99 double precision, wait_event_type text, wait_event text, blocked_by integer[], '
	'blocker_query text, blocker_state text, client text, deadline_left_ms double precision, wait_ms double precision, '
	'lock_waited_for text, blocker_idle_in_transaction boolean, blocker_elapsed_ms double precision, blocker_xact_ms double precision',
	'columns of running_queries');
SELECT is(columns_of('pgweir.connections'),
	'pid integer, username name, database name, state text, application_name text, client_addr inet, client_port integer, '
	'real_client text, real_port integer, via text, wait_ms double precision, deadline_left_ms double precision, '
	'xact_age_ms double precision, state_age_ms double precision, wait_event_type text, wait_event text, '
	'queryid bigint, query text, backend_start timestamp with time zone, xact_start timestamp with time zone, '
	'query_start timestamp with time zone, state_change timestamp with time zone, userid oid, dbid oid',
	'columns of connections');
SELECT is(columns_of('pgweir.pool_pressure'),
	'scope text, reporter text, database text, username text, size bigint, active bigint, idle bigint, '
	'idle_in_transaction bigint, waiting bigint, opening bigint, wait_p50_ms double precision, '
	'wait_p95_ms double precision, wait_p99_ms double precision, maxwait_ms double precision, refused bigint, '
	'deadline_missed bigint, oldest_holder_pid integer, oldest_holder_s double precision, pressure double precision, '
	'oldest_holder_query text, oldest_holder_client text, oldest_holder_application text, '
	'exhausted_in_s double precision, verdict text',
	'columns of pool_pressure');
SELECT is(columns_of('pgweir.pressure_history'),
	'at timestamp with time zone, scope text, reporter text, database text, username text, seconds bigint, size bigint, '
	'active bigint, idle bigint, idle_in_transaction bigint, waiting bigint, opening bigint, maxwait_ms bigint, '
	'oldest_holder_ms bigint, longest_ms bigint, locked bigint, draining bigint, rtt_ms double precision, failing_ms bigint, '
	'statements bigint, busy_ms bigint, errors bigint, cancelled bigint, deadline_missed bigint, refused bigint, gone bigint, '
	'connects bigint, connect_failures bigint, think_ms bigint, thinks bigint, wait_ms bigint, drain_ms bigint, xacts bigint, '
	'repeated bigint, cpu_short_ms bigint, pressure double precision',
	'columns of pressure_history');
SELECT is(columns_of('pgweir.diagnosis'),
	'cause integer, name text, verdict text, confidence double precision, evidence text, remedy text, why text, '
	'since timestamp with time zone',
	'columns of diagnosis');

-- each object says what it is
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'pgweir'::regnamespace
	AND obj_description(p.oid, 'pg_proc') IS NULL AND p.proname !~ 'index|advi|whatif'$$, 'every function has a comment');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'pgweir'::regnamespace AND c.relkind = 'v'
	AND obj_description(c.oid, 'pg_class') IS NULL AND c.relname !~ 'index'$$, 'every view has a comment');

-- nothing that a caller puts in his search_path is ever used
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
	WHERE p.pronamespace = 'pgweir'::regnamespace AND l.lanname IN ('sql', 'plpgsql')
	AND NOT coalesce(array_to_string(p.proconfig, ',') ~ 'search_path=', false)$$, 'functions in SQL fix their search_path');
SELECT is_empty($$
	SELECT DISTINCT v.ev_class::regclass, d.refclassid::regclass, d.refobjid
	FROM pg_rewrite AS v JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = v.oid
	LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
	LEFT JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
	WHERE v.ev_class IN (SELECT oid FROM pg_class WHERE relnamespace = 'pgweir'::regnamespace)
	AND coalesce(o.oprnamespace, p.pronamespace) NOT IN ('pgweir'::regnamespace, 'pg_catalog'::regnamespace)$$,
	'views use no function and no operator of others');

-- what a view says
SELECT pgweir.reset();
SELECT is((SELECT array_agg(cause ORDER BY cause) FROM pgweir.diagnosis), '{1,2,3,4,5,6,7}'::int[], 'diagnosis has a row for each cause');
SELECT is_empty($$SELECT cause FROM pgweir.diagnosis WHERE verdict NOT IN ('ok', 'suspect', 'culprit', 'not measured')$$,
	'verdicts are of the four');
SELECT is_empty($$SELECT cause FROM pgweir.diagnosis WHERE coalesce(evidence, '') = ''$$, 'each row has evidence');
SELECT is_empty($$SELECT cause FROM pgweir.diagnosis WHERE (verdict IN ('suspect', 'culprit')) <> (remedy IS NOT NULL)
	OR (verdict IN ('suspect', 'culprit')) <> (why IS NOT NULL)$$, 'a remedy and its reason where something is wrong');
SELECT is((SELECT string_agg(cause::text, ' ' ORDER BY cause) FROM pgweir.diagnosis WHERE verdict = 'not measured'), '3 6 7',
	'what only a sidecar can tell is not measured, and not called ok');
SELECT is((SELECT count(*) FROM pgweir.pool_pressure WHERE scope = 'server'), 1::bigint, 'the server is one row of pool_pressure');
SELECT ok((SELECT bool_and(pressure BETWEEN 0 AND 1 OR pressure IS NULL) FROM pgweir.pool_pressure), 'pressure is between 0 and 1');
SELECT is((SELECT size FROM pgweir.pool_pressure WHERE scope = 'server'),
	(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
	- coalesce(current_setting('reserved_connections', true)::int, 0))::bigint, 'its size is what ordinary users may have');
SELECT ok(EXISTS (SELECT FROM pgweir.connections WHERE pid = pg_backend_pid() AND state = 'active' AND queryid IS NOT NULL),
	'connections shows this session and what it runs');
SELECT is_empty('SELECT * FROM pgweir.running_queries WHERE pid = pg_backend_pid()', 'running_queries leaves the reader out');

SELECT * FROM finish();
ROLLBACK;
