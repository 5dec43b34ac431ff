-- == reports of sidecars ==

CREATE FUNCTION pgweir.report(reporter text, version integer, payload jsonb) RETURNS integer
AS 'MODULE_PATHNAME', 'pgweir_report_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pgweir.report(text, integer, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION pgweir.report(text, integer, jsonb) IS
'takes in the report of a sidecar, and tells the version of reports that is understood; GRANT EXECUTE to the role it reports as';

CREATE FUNCTION pgweir.reporters(
	OUT reporter text,
	OUT pid integer,
	OUT version text,
	OUT listen text,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT reports bigint,
	OUT left_out bigint,
	OUT uptime_s double precision,
	OUT clients bigint,
	OUT max_clients bigint,
	OUT login_failures bigint,
	OUT clients_refused bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_reporters_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION pgweir.reporters() IS
'sidecars that report; left_out counts pools and connections for which the store had no place, login_failures and clients_refused (above max_client_conn) are of the last minute';

CREATE FUNCTION pgweir.pools(
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT mode text,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT size bigint,
	OUT reserve bigint,
	OUT sv_active bigint,
	OUT sv_idle bigint,
	OUT sv_used bigint,
	OUT sv_tested bigint,
	OUT sv_login bigint,
	OUT cl_active bigint,
	OUT cl_waiting bigint,
	OUT maxwait_us bigint,
	OUT cl_blocked bigint,
	OUT maxblocked_us bigint,
	OUT failing_us bigint,
	OUT xacts bigint,
	OUT queries bigint,
	OUT wait_us bigint,
	OUT xact_us bigint,
	OUT query_us bigint,
	OUT refused bigint,
	OUT expired_queued bigint,
	OUT expired_running bigint,
	OUT expired_grace bigint,
	OUT gone_waiting bigint,
	OUT gone_running bigint,
	OUT wait_timeouts bigint,
	OUT logins bigint,
	OUT disconnects bigint,
	OUT connects bigint,
	OUT connect_failures bigint,
	OUT think_us bigint,
	OUT think_n bigint,
	OUT drain_us bigint,
	OUT unserved bigint,
	OUT logins_refused bigint,
	OUT repeat_units bigint,
	OUT repeat_statements bigint,
	OUT wait_p50_ms double precision,
	OUT wait_p95_ms double precision,
	OUT wait_p99_ms double precision,
	OUT run_p50_ms double precision,
	OUT run_p95_ms double precision,
	OUT run_p99_ms double precision,
	OUT deadline_p50_ms double precision,
	OUT deadline_p95_ms double precision,
	OUT deadline_p99_ms double precision,
	OUT think_p50_ms double precision,
	OUT think_p95_ms double precision,
	OUT think_p99_ms double precision,
	OUT life_p50_ms double precision,
	OUT life_p95_ms double precision,
	OUT life_p99_ms double precision,
	OUT requests_p50 bigint,
	OUT requests_p95 bigint,
	OUT requests_p99 bigint,
	OUT gone_n bigint,
	OUT gone_peak_ms double precision,
	OUT gone_peak_share double precision,
	OUT peak_waiting bigint,
	OUT total_queries bigint,
	OUT total_logins bigint,
	OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pools_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pgweir.pools() IS
'pools of the reporting sidecars: what is so now, then what happened in the last minute';

CREATE FUNCTION pgweir.pool_errors(
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT sqlstate text,
	OUT recent bigint,
	OUT total bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_pool_errors_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pgweir.pool_errors() IS
'errors that clients of the pools were sent, in the last minute and since the pool is known';

CREATE FUNCTION pgweir.linked(
	OUT pid integer,
	OUT reporter text,
	OUT reported timestamptz,
	OUT database text,
	OUT username text,
	OUT client text,
	OUT port integer,
	OUT application_name text,
	OUT state text,
	OUT wait_ms double precision,
	OUT since_ms double precision,
	OUT deadline_left_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_linked_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pgweir.linked() IS
'backends that a sidecar has given to a client, as of its last report';

CREATE FUNCTION pgweir.peers(
	OUT reporter text,
	OUT kind text,
	OUT addr text,
	OUT last_seen timestamptz,
	OUT n bigint,
	OUT rtt_ms double precision,
	OUT rttvar_ms double precision,
	OUT rtt_max_ms double precision,
	OUT retrans bigint,
	OUT segments bigint,
	OUT lost bigint,
	OUT unacked bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_peers_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pgweir.peers() IS
'what the kernel of a sidecar''s machine measures on its sockets, by address (retrans, segments and rtt_max_ms: in the last minute); for members of pg_read_all_stats';

CREATE FUNCTION pgweir.applications(
	OUT reporter text,
	OUT database text,
	OUT application_name text,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz,
	OUT clients bigint,
	OUT xacts bigint,
	OUT queries bigint,
	OUT query_ms double precision,
	OUT think_ms double precision,
	OUT errors bigint,
	OUT total_queries bigint,
	OUT total_errors bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_applications_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pgweir.applications() IS
'what the clients of each application_name did through sidecars in the last minute, and since when there are any; for members of pg_read_all_stats';

CREATE FUNCTION pgweir.repeats(
	OUT reporter text,
	OUT database text,
	OUT username text,
	OUT kind text,
	OUT fingerprint text,
	OUT query text,
	OUT units bigint,
	OUT statements bigint,
	OUT most bigint,
	OUT first_seen timestamptz,
	OUT last_seen timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_repeats_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pgweir.repeats() IS
'classes of statements that came at least 8 times in one transaction (kind transaction) or in a row on one connection (kind connection) in the last minute: in how many of those, how often in all, and at most in one; sidecars tell statements'' classes apart while admission is on or a rule of limits asks for them';

CREATE FUNCTION pgweir.timeline(
	OUT at timestamptz,
	OUT statements bigint,
	OUT busy_ms double precision,
	OUT failed bigint,
	OUT cancelled bigint,
	OUT statement_timeouts bigint,
	OUT lock_timeouts bigint,
	OUT deadline_missed bigint,
	OUT deadlocks bigint,
	OUT terminated bigint,
	OUT errors bigint,
	OUT undefined_errors bigint,
	OUT think_ms double precision,
	OUT thinks bigint,
	OUT connects bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pgweir_timeline_1_0'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 360;
COMMENT ON FUNCTION pgweir.timeline() IS
'the last hour of the server in steps of ten seconds; steps in which nothing happened are left out';
