-- == index advisor ==

-- What a statement would cost if the indexes of the CREATE INDEX statements existed and those to hide did not.
CREATE FUNCTION pgweir.whatif_cost(query text, ddl text[] DEFAULT '{}', hide regclass[] DEFAULT '{}')
RETURNS float8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgweir_whatif_cost';

REVOKE ALL ON FUNCTION pgweir.whatif_cost(text, text[], regclass[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.whatif_cost(text, text[], regclass[]) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.whatif_cost(text, text[], regclass[]) IS
	'planner cost of a statement if some indexes existed and others did not';

-- Bytes the index of a CREATE INDEX statement would take.
CREATE FUNCTION pgweir.whatif_size(ddl text)
RETURNS int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgweir_whatif_size';

REVOKE ALL ON FUNCTION pgweir.whatif_size(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.whatif_size(text) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.whatif_size(text) IS
	'bytes that the index of a CREATE INDEX statement would take';

-- Suggestions for the statements observed in the current database.  Each statement is planned as the user who ran it;
-- names in it are resolved with the search_path set for that role or the database, else the reader's.
CREATE FUNCTION pgweir.suggest_indexes(
	OUT id text, OUT action text, OUT table_name text, OUT ddl text, OUT reason text, OUT statements int4,
	OUT queryids int8[], OUT gain_pct float8, OUT cost_before float8, OUT cost_after float8, OUT load_pct float8,
	OUT size_bytes int8, OUT write_cost text, OUT confidence text, OUT saves_ms_per_hour float8,
	OUT write_ms_per_hour float8, OUT gaining jsonb, OUT losing jsonb, OUT replaces text[])
RETURNS SETOF record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10 COST 1000000
AS 'MODULE_PATHNAME', 'pgweir_suggest_indexes';

REVOKE ALL ON FUNCTION pgweir.suggest_indexes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.suggest_indexes() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.suggest_indexes() IS
	'indexes to create or drop for the statements observed in this database; computed at each call';

-- The same for one statement, as the caller would run it.
CREATE FUNCTION pgweir.advise_statement(
	query text,
	OUT id text, OUT action text, OUT table_name text, OUT ddl text, OUT reason text, OUT statements int4,
	OUT queryids int8[], OUT gain_pct float8, OUT cost_before float8, OUT cost_after float8, OUT load_pct float8,
	OUT size_bytes int8, OUT write_cost text, OUT confidence text, OUT saves_ms_per_hour float8,
	OUT write_ms_per_hour float8, OUT gaining jsonb, OUT losing jsonb, OUT replaces text[])
RETURNS SETOF record
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 3 COST 100000
AS 'MODULE_PATHNAME', 'pgweir_advise_statement';

REVOKE ALL ON FUNCTION pgweir.advise_statement(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.advise_statement(text) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.advise_statement(text) IS
	'indexes to create for one statement';

-- What is suggested for an observed statement, or why nothing is.
CREATE FUNCTION pgweir.explain_advice(queryid int8)
RETURNS text
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000000
AS 'MODULE_PATHNAME', 'pgweir_explain_advice';

REVOKE ALL ON FUNCTION pgweir.explain_advice(int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.explain_advice(int8) TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.explain_advice(int8) IS
	'what index is suggested for an observed statement, or why none is';

CREATE VIEW pgweir.index_suggestions AS
SELECT s.id, s.action, s.table_name, s.ddl, s.reason, s.statements, s.queryids, s.gain_pct, s.cost_before,
	s.cost_after, s.load_pct, s.size_bytes, s.write_cost, s.confidence, s.saves_ms_per_hour, s.write_ms_per_hour,
	s.gaining, s.losing, s.replaces
FROM pgweir.suggest_indexes() AS s;

GRANT SELECT ON pgweir.index_suggestions TO pg_read_all_stats;
COMMENT ON VIEW pgweir.index_suggestions IS
	'indexes to create or drop: what to run, why, which statements gain and how much';
