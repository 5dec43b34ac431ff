\echo Use "CREATE EXTENSION pgweir" to load this file. \quit

-- == index advisor ==

-- What a statement would cost if the indexes of the CREATE INDEX statements existed and those to hide did not.
CREATE FUNCTION pgweir.whatif_cost(query text, ddl text[] DEFAULT '{}', hide regclass[] DEFAULT '{}')
RETURNS float8
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgweir_whatif_cost';

REVOKE ALL ON FUNCTION pgweir.whatif_cost(text, text[], regclass[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.whatif_cost(text, text[], regclass[]) TO pg_read_all_stats;

-- == end of index advisor ==
