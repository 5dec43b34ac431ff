-- == control ==

GRANT USAGE ON SCHEMA pgweir TO PUBLIC;

CREATE FUNCTION pgweir.check_preload() RETURNS boolean
AS 'MODULE_PATHNAME', 'pgweir_check_preload_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.check_preload() IS
'true when the library was preloaded; otherwise an error that tells how';

CREATE FUNCTION pgweir.reset() RETURNS void
AS 'MODULE_PATHNAME', 'pgweir_reset_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pgweir.reset() FROM PUBLIC;
COMMENT ON FUNCTION pgweir.reset() IS
'forgets all that was counted and reported';

CREATE FUNCTION pgweir.reset(userid oid, dbid oid DEFAULT NULL, queryid bigint DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'pgweir_reset_classes_1_0'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pgweir.reset(oid, oid, bigint) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.reset(oid, oid, bigint) IS
'forgets the statement classes of a user, a database, a queryid, or what is all three, with their plans, samples and history; null is any';

CREATE FUNCTION pgweir.flush() RETURNS integer
AS 'MODULE_PATHNAME', 'pgweir_flush_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pgweir.flush() IS
'merges the counts of this session; reading the views does so, too';

CREATE FUNCTION pgweir.snapshot() RETURNS boolean
AS 'MODULE_PATHNAME', 'pgweir_snapshot_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pgweir.snapshot() IS
'has the history take a step now instead of within ten seconds; false when the sampler does not answer';

CREATE FUNCTION pgweir.info(
	OUT capacity bigint,
	OUT entries bigint,
	OUT evicted bigint,
	OUT dropped bigint,
	OUT since timestamptz,
	OUT callers bigint,
	OUT history_since timestamptz,
	OUT unmerged bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_info_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION pgweir.info() IS
'the statement store: places, classes in them, classes evicted since the last reset, executions that could not be counted, callers known, how far '
	'back its history reaches, and classes of which some session has counts that are not merged yet';

CREATE FUNCTION pgweir.comment_deadline(statement text) RETURNS double precision
AS 'MODULE_PATHNAME', 'pgweir_comment_deadline_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pgweir.comment_deadline(text) IS
'the deadline in milliseconds that a comment pgweir_deadline=''...'' of a statement asks for';
