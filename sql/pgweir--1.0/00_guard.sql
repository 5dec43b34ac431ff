\echo Use "CREATE EXTENSION pgweir" to load this file. \quit

--
-- While this script runs, nothing but pg_catalog is searched, so that each function and operator named without a schema
-- is the server's own; views keep it that way, functions in SQL fix their search_path.  Our own are named with theirs.
--
SET LOCAL search_path TO pg_catalog, pg_temp;
