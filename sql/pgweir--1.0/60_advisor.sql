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

-- A row of index_suggestions.
CREATE TYPE pgweir.suggestion AS (
	id text,						-- the same for the same advice in every run
	action text,					-- create, drop, analyze
	table_name text,
	ddl text,
	reason text,
	statements int4,
	queryids int8[],
	gain_pct float8,
	cost_before float8,
	cost_after float8,
	load_pct float8,
	size_bytes int8,
	write_cost text,
	confidence text,				-- high, medium, low
	saves_ms_per_hour float8,		-- of the observed workload
	write_ms_per_hour float8,
	gaining jsonb,					-- each statement that gains: costs, share of the load, time saved
	losing jsonb,					-- each that loses: costs, or the index entries that it has to make
	replaces text[]);				-- existing indexes that can be dropped afterwards
COMMENT ON TYPE pgweir.suggestion IS
	'an index to create or drop';

-- Suggestions for the statements observed in the current database.  Each statement is planned as the user who ran it;
-- names in it are resolved with the search_path set for that role or the database, else the usual one.
CREATE FUNCTION pgweir.suggest_indexes() RETURNS SETOF pgweir.suggestion
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10 COST 1000000
AS 'MODULE_PATHNAME', 'pgweir_suggest_indexes';

REVOKE ALL ON FUNCTION pgweir.suggest_indexes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.suggest_indexes() TO pg_read_all_stats;
COMMENT ON FUNCTION pgweir.suggest_indexes() IS
	'indexes to create or drop for the statements observed in this database; computed at each call, kept nowhere';

-- The same for one statement, as the caller would run it.
CREATE FUNCTION pgweir.advise_statement(query text) RETURNS SETOF pgweir.suggestion
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
