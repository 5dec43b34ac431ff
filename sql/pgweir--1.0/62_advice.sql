-- == stored advice and what became of it ==

-- Documents of the advisor: 'advice' is the last run's result, 'history' what became of suggestions.  They are written
-- only by the functions below, which run as the owner of the extension.
CREATE FUNCTION pgweir.advisor_document(name text) RETURNS jsonb
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgweir_advisor_document';
REVOKE ALL ON FUNCTION pgweir.advisor_document(text) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.advisor_document(text) IS
'what the advisor keeps from one run to the next';

CREATE FUNCTION pgweir.set_advisor_document(name text, document jsonb) RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgweir_set_advisor_document';
REVOKE ALL ON FUNCTION pgweir.set_advisor_document(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.set_advisor_document(text, jsonb) IS
'replaces what the advisor keeps';

CREATE FUNCTION pgweir.matching_index(ddl text) RETURNS oid
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgweir_matching_index';
REVOKE ALL ON FUNCTION pgweir.matching_index(text) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.matching_index(text) IS
'the valid index that serves whatever the index of a CREATE INDEX statement would';

CREATE FUNCTION pgweir.statement_times(
	with_hist boolean,
	OUT queryid bigint,
	OUT own boolean,
	OUT calls bigint,
	OUT total_ms double precision,
	OUT recent_ms double precision,
	OUT hist bigint[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_statement_times_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000;
REVOKE ALL ON FUNCTION pgweir.statement_times(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.statement_times(boolean) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.statement_times(boolean) IS
'times of the statements of this database, with a histogram of them (buckets as in reports of a sidecar)';

CREATE FUNCTION pgweir.rank_test(
	before bigint[],
	after bigint[],
	OUT p double precision,
	OUT faster double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_rank_test_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1;
COMMENT ON FUNCTION pgweir.rank_test(bigint[], bigint[]) IS
'Mann-Whitney rank test on two histograms: two-sided p, and the chance that one after takes less than one before';

CREATE FUNCTION pgweir.quantile(hist bigint[], p double precision) RETURNS double precision
AS 'MODULE_PATHNAME', 'pgweir_quantile_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.quantile(bigint[], double precision) IS
'quantile of a histogram in milliseconds';

CREATE FUNCTION pgweir.runs(
	OUT pid integer,
	OUT datid oid,
	OUT started timestamptz,
	OUT phase text,
	OUT items_total bigint,
	OUT items_done bigint,
	OUT candidates bigint,
	OUT plans bigint,
	OUT chosen bigint,
	OUT background boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_runs_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1;
REVOKE ALL ON FUNCTION pgweir.runs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.runs() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.runs() IS
'runs of the advisor that are under way, in all databases';

CREATE VIEW pgweir.advisor_progress AS
SELECT r.pid, d.datname, r.started, r.phase, r.items_total, r.items_done, r.candidates, r.plans, r.chosen, r.background
FROM pgweir.runs() AS r
LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) r.datid;
GRANT SELECT ON pgweir.advisor_progress TO pg_read_all_stats;
COMMENT ON VIEW pgweir.advisor_progress IS
'how far each run of the advisor is; pg_cancel_backend(pid) ends it';

-- A document that cannot be read is one that is not there.
CREATE FUNCTION pgweir.read_document(name text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE STRICT
SET search_path TO pg_catalog, pg_temp
AS $$
BEGIN
	RETURN pgweir.advisor_document(name);
EXCEPTION WHEN data_exception OR internal_error THEN
	RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pgweir.read_document(text) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.read_document(text) IS
'what the advisor keeps, or null';

-- What advice depends on, but for the times of statements: which indexes there are and which tables have statistics,
-- and the settings.
CREATE FUNCTION pgweir.advice_basis() RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object(
		'indexes', (SELECT count(*) || '/' || coalesce(sum(hashoidextended(i.indexrelid, i.indisvalid::int)), 0)
			FROM pg_index AS i WHERE i.indexrelid >= 16384),
		'tables', (SELECT count(*) || '/' || coalesce(sum(hashoidextended(c.oid,
				(c.reltuples < 0)::int + 2 * hashtext(c.relname)::int8 + hashoid(c.relnamespace))), 0)
			FROM pg_class AS c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm')),
		'settings', (SELECT string_agg(current_setting(s), ' ' ORDER BY s)
			FROM unnest(ARRAY['budget', 'max_indexes', 'max_statements', 'min_gain', 'min_saving',
				'min_saved_per_hour', 'min_table_pages', 'unused_days',
				'time_limit']) AS w, LATERAL (SELECT 'pgweir.advisor_' || w) AS n (s)))
$$;
REVOKE ALL ON FUNCTION pgweir.advice_basis() FROM PUBLIC;
COMMENT ON FUNCTION pgweir.advice_basis() IS
'what advice depends on, to see whether it is still of value';

-- Whether stored advice still holds: nothing that it was made from has changed, and neither has the workload much.
CREATE FUNCTION pgweir.advice_is_fresh(advice jsonb, basis jsonb) RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT advice IS NOT NULL AND advice -> 'basis' = basis
		AND (advice ->> 'at')::timestamptz > clock_timestamp() - current_setting('pgweir.advisor_max_age')::interval
		AND (SELECT coalesce(sum(greatest(m.now_ms - m.then_ms, 0)), 0) <= greatest(0.25 * coalesce(sum(m.then_ms), 0), 1)
				AND coalesce(sum(greatest(m.then_ms - m.now_ms, 0)), 0) <= 0.25 * coalesce(sum(m.then_ms), 0)
				AND coalesce(sum(m.recent_ms) FILTER (WHERE m.now_ms > 2 * m.then_ms), 0)
					<= greatest(0.25 * coalesce(sum(m.recent_ms), 0), 10)
			FROM (SELECT coalesce(n.total_ms, 0) AS now_ms, coalesce(n.recent_ms, 0) AS recent_ms,
					coalesce(t.value::float8, 0) AS then_ms
				FROM (SELECT s.* FROM pgweir.statement_times(false) AS s WHERE NOT s.own) AS n
				FULL JOIN jsonb_each_text(advice -> 'times') AS t ON t.key = n.queryid::text) AS m)
$$;
REVOKE ALL ON FUNCTION pgweir.advice_is_fresh(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.advice_is_fresh(jsonb, jsonb) IS
'whether stored advice still holds';

CREATE FUNCTION pgweir.hist_since(now bigint[], start bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(greatest(coalesce(u.a, 0) - coalesce(u.b, 0), 0) ORDER BY u.i), '{}')
	FROM unnest(now, start) WITH ORDINALITY AS u (a, b, i)
$$;
COMMENT ON FUNCTION pgweir.hist_since(bigint[], bigint[]) IS
'what has been added to a histogram';

-- Counts of one statement as they stand in the history: {"calls", "ms", "hist"}.
CREATE FUNCTION pgweir.hist_of(counts jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(h.value::bigint ORDER BY h.ordinality), '{}')
	FROM jsonb_array_elements_text(counts -> 'hist') WITH ORDINALITY AS h
$$;
COMMENT ON FUNCTION pgweir.hist_of(jsonb) IS
'the histogram of a statement that is watched';

-- The statements of a suggestion that are watched once it is applied: those that should gain, and those that pay.
CREATE FUNCTION pgweir.to_watch(suggestion jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(w.one), '[]')
	FROM (
		(SELECT jsonb_build_object('queryid', g.value -> 'queryid', 'role', 'gains',
				'expected', round((g.value ->> 'cost_after')::numeric / nullif((g.value ->> 'cost_before')::numeric, 0), 4)) AS one
			FROM jsonb_array_elements(nullif(suggestion -> 'gaining', 'null')) WITH ORDINALITY AS g ORDER BY g.ordinality LIMIT 6)
		UNION ALL
		(SELECT jsonb_build_object('queryid', l.value -> 'queryid', 'role', 'pays')
			FROM jsonb_array_elements(nullif(suggestion -> 'losing', 'null')) WITH ORDINALITY AS l ORDER BY l.ordinality LIMIT 4)
	) AS w
	WHERE w.one ->> 'queryid' <> '0'
$$;
COMMENT ON FUNCTION pgweir.to_watch(jsonb) IS
'the statements of a suggestion whose times are set against each other before and after';

-- One watched statement brought up to date.  While the index is not there its times count as before; from the moment it
-- was first seen they count as after.  What was counted between the two is of either kind and left out.
CREATE FUNCTION pgweir.watched(watch jsonb, now jsonb, there boolean, was_there boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN NOT there AND now IS NOT NULL AND ((now ->> 'calls')::bigint >= 20
				OR coalesce((watch #>> '{before,calls}')::bigint, 0) <= (now ->> 'calls')::bigint)
			THEN watch || jsonb_build_object('before', now)
		WHEN there AND NOT was_there
			THEN watch || jsonb_build_object('start', coalesce(now, '{"calls": 0, "ms": 0, "hist": []}'))
		WHEN there AND (now ->> 'calls')::bigint < (watch #>> '{start,calls}')::bigint
			-- Counted anew since a reset.
			THEN watch || jsonb_build_object('start', '{"calls": 0, "ms": 0, "hist": []}'::jsonb, 'now', now)
		WHEN there AND now IS NOT NULL THEN watch || jsonb_build_object('now', now)
		ELSE watch END
$$;
COMMENT ON FUNCTION pgweir.watched(jsonb, jsonb, boolean, boolean) IS
'a statement that is watched, with its present counts';

-- A suggestion in the history brought up to date: whether its index is there, and the times of its statements.
CREATE FUNCTION pgweir.followed_up(entry jsonb, times jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	index oid;
	was_there boolean := entry ->> 'status' = 'applied';
	there boolean;
BEGIN
	IF entry ->> 'status' NOT IN ('open', 'applied') THEN
		RETURN entry;
	END IF;
	IF entry ->> 'action' = 'drop' THEN
		IF to_regclass(entry ->> 'index') IS NULL THEN
			RETURN entry || jsonb_build_object('status', 'applied', 'applied_at', coalesce(entry -> 'applied_at', to_jsonb(clock_timestamp())));
		END IF;
		RETURN entry || '{"status": "open", "applied_at": null}';
	END IF;
	index := pgweir.matching_index(split_part(entry ->> 'ddl', ';', 1));
	there := index IS NOT NULL;
	IF was_there AND NOT there THEN
		RETURN entry || jsonb_build_object('status', 'removed', 'removed_at', clock_timestamp());
	END IF;
	entry := jsonb_set(entry, '{watch}', (SELECT coalesce(jsonb_agg(pgweir.watched(w.value, times -> (w.value ->> 'queryid'), there, was_there)
		ORDER BY w.ordinality), '[]') FROM jsonb_array_elements(entry -> 'watch') WITH ORDINALITY AS w));
	IF there AND NOT was_there THEN
		entry := entry || jsonb_build_object('status', 'applied', 'applied_at', clock_timestamp(), 'scans_at_start',
			pg_stat_get_numscans(index));
	END IF;
	IF there THEN
		entry := entry || jsonb_build_object('index', index::regclass::text, 'scans', pg_stat_get_numscans(index));
	END IF;
	RETURN entry;
END
$$;
REVOKE ALL ON FUNCTION pgweir.followed_up(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.followed_up(jsonb, jsonb) IS
'a suggestion of the past, brought up to date';

-- The history with new suggestions added and all brought up to date; the latest hundred stay.
CREATE FUNCTION pgweir.history_with(history jsonb, suggestions jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
	WITH old AS (
		SELECT e.value || CASE WHEN s.value IS NULL THEN '{}' ELSE jsonb_build_object('last_at', clock_timestamp()) END AS entry,
			e.ordinality AS place
		FROM jsonb_array_elements(history) WITH ORDINALITY AS e
		LEFT JOIN jsonb_array_elements(suggestions) AS s ON s.value ->> 'id' = e.value ->> 'id' AND e.value ->> 'status' = 'open'
	), new AS (
		SELECT jsonb_build_object('id', s.value -> 'id', 'action', s.value -> 'action', 'table_name', s.value -> 'table_name',
				'ddl', s.value -> 'ddl', 'status', 'open', 'first_at', clock_timestamp(), 'last_at', clock_timestamp(),
				'gain_pct', s.value -> 'gain_pct', 'watch', pgweir.to_watch(s.value),
				'index', substring(s.value ->> 'ddl' FROM '^DROP INDEX (?:CONCURRENTLY )?(.*);$')) AS entry,
			100000 + s.ordinality AS place
		FROM jsonb_array_elements(suggestions) WITH ORDINALITY AS s
		WHERE s.value ->> 'action' IN ('create', 'drop') AND NOT EXISTS (SELECT FROM old AS o
			WHERE o.entry ->> 'id' = s.value ->> 'id' AND o.entry ->> 'status' = 'open')
	), entries AS (
		SELECT e.* FROM (SELECT * FROM old UNION ALL SELECT * FROM new) AS e ORDER BY e.place DESC LIMIT 100
	), times AS MATERIALIZED (
		SELECT coalesce(jsonb_object_agg(s.queryid::text, jsonb_build_object('calls', s.calls, 'ms', s.total_ms, 'hist', to_jsonb(s.hist))), '{}') AS counts
		FROM pgweir.statement_times(true) AS s
		WHERE s.queryid IN (SELECT (w.value ->> 'queryid')::bigint FROM entries AS e, jsonb_array_elements(e.entry -> 'watch') AS w)
	)
	SELECT coalesce(jsonb_agg(pgweir.followed_up(e.entry, (SELECT t.counts FROM times AS t)) ORDER BY e.place), '[]')
	FROM entries AS e
$$;
REVOKE ALL ON FUNCTION pgweir.history_with(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.history_with(jsonb, jsonb) IS
'what became of suggestions';

-- What can be said of each statement of each suggestion, a row each.
CREATE FUNCTION pgweir.outcomes(
	history jsonb,
	OUT id text,
	OUT action text,
	OUT table_name text,
	OUT ddl text,
	OUT status text,
	OUT first_suggested timestamptz,
	OUT last_suggested timestamptz,
	OUT applied_at timestamptz,
	OUT removed_at timestamptz,
	OUT index_name text,
	OUT index_scans bigint,
	OUT queryid bigint,
	OUT role text,
	OUT calls_before bigint,
	OUT mean_before_ms double precision,
	OUT p95_before_ms double precision,
	OUT calls_after bigint,
	OUT mean_after_ms double precision,
	OUT p95_after_ms double precision,
	OUT expected_ratio double precision,
	OUT p_value double precision,
	OUT faster_pct double precision,
	OUT verdict text)
RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT e.value ->> 'id', e.value ->> 'action', e.value ->> 'table_name', e.value ->> 'ddl', e.value ->> 'status',
		(e.value ->> 'first_at')::timestamptz, (e.value ->> 'last_at')::timestamptz, (e.value ->> 'applied_at')::timestamptz,
		(e.value ->> 'removed_at')::timestamptz, e.value ->> 'index',
		(e.value ->> 'scans')::bigint - (e.value ->> 'scans_at_start')::bigint,
		(w.value ->> 'queryid')::bigint, w.value ->> 'role', b.calls, b.ms / nullif(b.calls, 0), pgweir.quantile(b.hist, 0.95),
		a.calls, a.ms / nullif(a.calls, 0), pgweir.quantile(a.hist, 0.95), (w.value ->> 'expected')::float8, t.p, 100 * t.faster,
		CASE
			WHEN e.value ->> 'status' = 'open' OR w.value IS NULL THEN NULL
			WHEN b.calls < 10 OR a.calls < 10 THEN 'too few executions'
			WHEN t.p < 0.01 AND t.faster > 0.5 AND a.ms / a.calls < 0.9 * b.ms / b.calls THEN 'improved'
			WHEN t.p < 0.01 AND t.faster < 0.5 AND a.ms / a.calls > 1.1 * b.ms / b.calls THEN 'regressed'
			ELSE 'no difference'
		END
	FROM jsonb_array_elements(history) WITH ORDINALITY AS e
	LEFT JOIN LATERAL jsonb_array_elements(e.value -> 'watch') WITH ORDINALITY AS w ON true
	LEFT JOIN LATERAL (SELECT coalesce((w.value #>> '{before,calls}')::bigint, 0) AS calls, (w.value #>> '{before,ms}')::float8 AS ms,
		pgweir.hist_of(w.value -> 'before') AS hist) AS b ON true
	LEFT JOIN LATERAL (SELECT coalesce((w.value #>> '{now,calls}')::bigint - (w.value #>> '{start,calls}')::bigint, 0) AS calls,
		(w.value #>> '{now,ms}')::float8 - (w.value #>> '{start,ms}')::float8 AS ms,
		pgweir.hist_since(pgweir.hist_of(w.value -> 'now'), pgweir.hist_of(w.value -> 'start')) AS hist) AS a ON true
	LEFT JOIN LATERAL pgweir.rank_test(b.hist, a.hist) AS t ON true
	ORDER BY e.ordinality, w.ordinality
$$;
REVOKE ALL ON FUNCTION pgweir.outcomes(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.outcomes(jsonb) IS
'statements of suggestions before and after';

-- Suggestions seen in the light of the past: indexes made on advice that did not help are to be dropped, and what did not
-- help once is suggested with doubt.
CREATE FUNCTION pgweir.with_outcomes(suggestions jsonb, history jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
	WITH applied AS (
		SELECT o.id, o.table_name, o.ddl, o.status, o.index_name, max(o.index_scans) AS scans, max(o.applied_at) AS applied_at,
			count(*) FILTER (WHERE o.role = 'gains') AS gains, coalesce(sum(o.calls_after) FILTER (WHERE o.role = 'gains'), 0) AS calls,
			count(*) FILTER (WHERE o.role = 'gains' AND o.verdict = 'improved') AS improved,
			count(*) FILTER (WHERE o.role = 'gains' AND o.verdict = 'too few executions') AS unknown,
			string_agg(format('%s (%s ms before, %s ms after)', o.queryid, round(o.mean_before_ms::numeric, 2),
				round(o.mean_after_ms::numeric, 2)), ', ') FILTER (WHERE o.verdict = 'regressed') AS regressed,
			coalesce(jsonb_agg(o.queryid) FILTER (WHERE o.role = 'gains'), '[]') AS queryids
		FROM pgweir.outcomes(history) AS o
		WHERE o.action = 'create' AND o.status IN ('applied', 'removed')
		GROUP BY o.id, o.table_name, o.ddl, o.status, o.index_name
	), useless AS (
		SELECT a.* FROM applied AS a WHERE a.gains > 0 AND a.calls >= 20 AND a.improved = 0 AND (a.unknown = 0 OR a.scans = 0)
	), drops AS (
		SELECT jsonb_build_object('id', substr(md5('DROP INDEX ' || u.index_name), 1, 16), 'action', 'drop', 'table_name', u.table_name,
			'ddl', format('DROP INDEX %s%s;', CASE WHEN c.relkind = 'I' THEN '' ELSE 'CONCURRENTLY ' END, u.index_name),
			'reason', format('It was made on advice and found on %s, and did not help: %s; the statements it was for ran %s times since and are not'
				|| ' faster (Mann-Whitney rank test).', u.applied_at::date, CASE WHEN u.scans = 0 THEN 'no statement has used it'
				ELSE format('it was scanned %s times', u.scans) END, u.calls)
				|| coalesce(' Slower than before: ' || u.regressed || '.', ''),
			'statements', u.gains, 'queryids', u.queryids, 'size_bytes', pg_relation_size(c.oid),
			'write_cost', 'none: writes get cheaper', 'confidence', 'medium', 'replaces', '[]'::jsonb) AS row
		FROM useless AS u
		JOIN pg_class AS c ON c.oid = to_regclass(u.index_name)
		JOIN pg_index AS i ON i.indexrelid = c.oid AND NOT i.indisunique AND NOT i.indisreplident AND NOT i.indisclustered
		WHERE u.status = 'applied'
	)
	SELECT coalesce((SELECT jsonb_agg(CASE WHEN u.id IS NULL OR s.value ->> 'action' <> 'create' THEN s.value
			ELSE s.value || jsonb_build_object('confidence', 'low', 'reason', (s.value ->> 'reason')
				|| ' Such an index was there before and did not help.') END ORDER BY s.ordinality)
		FROM jsonb_array_elements(suggestions) WITH ORDINALITY AS s
		LEFT JOIN (SELECT DISTINCT u.id FROM useless AS u) AS u ON u.id = s.value ->> 'id'), '[]')
		|| coalesce((SELECT jsonb_agg(d.row) FROM drops AS d
			WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(suggestions) AS s WHERE s.value ->> 'ddl' = d.row ->> 'ddl')), '[]')
$$;
REVOKE ALL ON FUNCTION pgweir.with_outcomes(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.with_outcomes(jsonb, jsonb) IS
'suggestions, with what earlier ones have come to';

-- The stored advice when it still holds, else new advice, which is stored: {"at", "basis", "times", "suggestions"}.
-- Nothing is stored of a session with settings of its own, and when another session is storing.
CREATE FUNCTION pgweir.current_advice(anew boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	advice jsonb := pgweir.read_document('advice');
	basis jsonb := pgweir.advice_basis();
	history jsonb := coalesce(pgweir.read_document('history'), '[]');
	suggestions jsonb;
	times jsonb;
BEGIN
	IF NOT anew AND pgweir.advice_is_fresh(advice, basis) THEN
		RETURN advice;
	END IF;
	times := (SELECT coalesce(jsonb_object_agg(s.queryid::text, round(s.total_ms::numeric, 3)), '{}')
		FROM pgweir.statement_times(false) AS s WHERE NOT s.own);
	suggestions := (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]') FROM pgweir.suggest_indexes() AS s);
	advice := jsonb_build_object('at', clock_timestamp(), 'basis', basis, 'times', times, 'suggestions', pgweir.with_outcomes(suggestions, history));
	IF EXISTS (SELECT FROM pg_settings AS s WHERE s.name LIKE 'pgweir.advisor\_%' AND s.setting IS DISTINCT FROM s.reset_val)
			OR NOT pg_try_advisory_xact_lock(7369276, hashtext(current_database())) THEN
		RETURN advice;
	END IF;
	history := pgweir.history_with(history, suggestions);
	PERFORM pgweir.set_advisor_document('history', history);
	advice := advice || jsonb_build_object('suggestions', pgweir.with_outcomes(suggestions, history));
	PERFORM pgweir.set_advisor_document('advice', advice);
	RETURN advice;
END
$$;
REVOKE ALL ON FUNCTION pgweir.current_advice(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.current_advice(boolean) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.current_advice(boolean) IS
'stored advice, made anew when it no longer holds';

CREATE FUNCTION pgweir.advise(
	budget_mb integer DEFAULT NULL,
	max_indexes integer DEFAULT NULL,
	time_limit_ms integer DEFAULT NULL)
RETURNS SETOF pgweir.suggestion
LANGUAGE plpgsql VOLATILE
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	settings CONSTANT text[] := ARRAY['pgweir.advisor_budget', 'pgweir.advisor_max_indexes', 'pgweir.advisor_time_limit'];
	given CONSTANT text[] := ARRAY[budget_mb || 'MB', max_indexes::text, time_limit_ms || 'ms'];
	before CONSTANT text[] := (SELECT array_agg(current_setting(s) ORDER BY i) FROM unnest(settings) WITH ORDINALITY AS u (s, i));
	advice jsonb;
BEGIN
	PERFORM set_config(settings[i], given[i], true) FROM generate_series(1, 3) AS i WHERE given[i] IS NOT NULL;
	advice := pgweir.current_advice(true);
	PERFORM set_config(settings[i], before[i], true) FROM generate_series(1, 3) AS i WHERE given[i] IS NOT NULL;
	RETURN QUERY SELECT s.* FROM jsonb_populate_recordset(NULL::pgweir.suggestion, advice -> 'suggestions') AS s;
END
$$;
REVOKE ALL ON FUNCTION pgweir.advise(integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.advise(integer, integer, integer) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.advise(integer, integer, integer) IS
'advice made anew, and stored when no limits are given that differ from the settings';

CREATE VIEW pgweir.index_suggestions AS
SELECT s.id, s.action, s.table_name, s.ddl, s.reason, s.statements, s.queryids, s.gain_pct, s.cost_before,
	s.cost_after, s.load_pct, s.size_bytes, s.write_cost, s.confidence, s.saves_ms_per_hour, s.write_ms_per_hour,
	s.gaining, s.losing, s.replaces, (a.advice ->> 'at')::timestamptz AS computed_at
FROM (SELECT pgweir.current_advice(false)) AS a (advice),
	LATERAL jsonb_populate_recordset(NULL::pgweir.suggestion, a.advice -> 'suggestions') AS s;
GRANT SELECT ON pgweir.index_suggestions TO pg_read_all_stats;
COMMENT ON VIEW pgweir.index_suggestions IS
'indexes to create or drop: what to run, why, which statements gain and how much';

-- The history, brought up to date and kept.
CREATE FUNCTION pgweir.current_history() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
DECLARE
	history jsonb := pgweir.history_with(coalesce(pgweir.read_document('history'), '[]'), '[]');
BEGIN
	IF pg_try_advisory_xact_lock(7369276, hashtext(current_database())) THEN
		PERFORM pgweir.set_advisor_document('history', history);
	END IF;
	RETURN history;
END
$$;
REVOKE ALL ON FUNCTION pgweir.current_history() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.current_history() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.current_history() IS
'what became of suggestions until now';

CREATE FUNCTION pgweir.history() RETURNS TABLE (
	id text, action text, table_name text, ddl text, status text, first_suggested timestamptz, last_suggested timestamptz,
	applied_at timestamptz, removed_at timestamptz, index_name text, index_scans bigint, queryid bigint, role text,
	calls_before bigint, mean_before_ms double precision, p95_before_ms double precision, calls_after bigint,
	mean_after_ms double precision, p95_after_ms double precision, expected_ratio double precision,
	p_value double precision, faster_pct double precision, verdict text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT o.* FROM pgweir.outcomes(pgweir.current_history()) AS o
$$;
REVOKE ALL ON FUNCTION pgweir.history() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.history() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.history() IS
'the rows of suggestion_history';

CREATE VIEW pgweir.suggestion_history AS
SELECT h.id, h.action, h.table_name, h.ddl, h.status, h.first_suggested, h.last_suggested, h.applied_at, h.removed_at, h.index_name,
	h.index_scans, h.queryid, h.role, h.calls_before, h.mean_before_ms, h.p95_before_ms, h.calls_after, h.mean_after_ms,
	h.p95_after_ms, h.expected_ratio, h.p_value, h.faster_pct, h.verdict
FROM pgweir.history() AS h;
GRANT SELECT ON pgweir.suggestion_history TO pg_read_all_stats;
COMMENT ON VIEW pgweir.suggestion_history IS
'what became of suggestions: a row for each statement, before and after, by the Mann-Whitney rank test';
