--
-- Reports of a sidecar: what is taken in, what is refused, and how it shows.
--
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;
SELECT pgweir.reset();

-- what is wrong is said by name, and nothing of it is kept
SELECT pgweir.report('one', 0, '{}');
SELECT pgweir.report('one', -1, '{}');
SELECT pgweir.report('', 1, '{}');
SELECT pgweir.report(repeat('x', 64), 1, '{}');
SELECT pgweir.report('one', 1, '[]');
SELECT pgweir.report('one', 1, '3');
SELECT pgweir.report('one', 1, '{"pid": "4711"}');
SELECT pgweir.report('one', 1, '{"pid": -1}');
SELECT pgweir.report('one', 1, '{"clients": 1e400}');
SELECT pgweir.report('one', 1, '{"version": 1}');
SELECT pgweir.report('one', 1, '{"pools": {}}');
SELECT pgweir.report('one', 1, '{"pools": [1]}');
SELECT pgweir.report('one', 1, '{"pools": [[]]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "wait_hist": [[128, 1]]}]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "wait_hist": [[1, 2, 3]]}]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "wait_hist": [1, 2]}]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "errors": {"57": 1}}]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "errors": {"57014": "1"}}]}');
SELECT pgweir.report('one', 1, '{"pools": [{"db": "shop", "errors": [1]}]}');
SELECT pgweir.report('one', 1, '{"servers": [{"pid": 99999999999}]}');
SELECT pgweir.report('one', 1, '{"net": []}');
SELECT pgweir.report(NULL, 1, '{}');
SELECT count(*) FROM pgweir.reporters();

-- an empty report, unknown keys, nulls
SELECT pgweir.report('one', 1, '{"v": 1, "new": {"key": [1]}, "pools": null, "servers": [], "net": null, "pid": 7}');
SELECT reporter, pid, version, reports, clients FROM pgweir.reporters();

-- a newer sidecar is told what is understood here; what it has in common is taken
SELECT pgweir.report('one', 1000, '{"v": 1000, "pid": 7, "clients": 5, "invented": {"later": [[1]]}}') < 1000 AS older;
SELECT clients FROM pgweir.reporters();

-- gauges are replaced, counters add up
CREATE FUNCTION send(waiting integer, queries integer) RETURNS void LANGUAGE sql AS $$
	SELECT pgweir.report('one', 1, jsonb_build_object('v', 1, 'pid', 8, 'version', '1.0', 'listen', '127.0.0.1:6432',
		'clients', 50, 'max_clients', 1000, 'interval_us', 1000000,
		'pools', jsonb_build_array(jsonb_build_object('db', 'shop', 'user', 'app', 'mode', 'transaction', 'size', 10,
			'sv_active', 10, 'cl_waiting', waiting, 'maxwait_us', 120000, 'queries', queries, 'wait_us', 1000,
			'wait_hist', '[[8, 90], [60, 10]]'::jsonb, 'run_hist', '[[40, 100]]'::jsonb,
			'gone_running', 6, 'gone_hist', '[[70, 1], [71, 5]]'::jsonb,
			'expired_queued', 1, 'expired_running', 2, 'refused', 3, 'errors', '{"57014": 2, "23505": 1}'::jsonb)),
		'servers', jsonb_build_array(jsonb_build_object('pid', pg_backend_pid(), 'db', 'shop', 'user', current_user,
			'client', '10.0.0.7', 'port', 51234, 'app', 'checkout', 'state', 'active', 'wait_us', 1200,
			'since_us', 3400, 'deadline_left_us', 9000000)),
		'net', '{"clients": [{"addr": "10.0.0.7", "n": 12, "rtt_us": 800, "retrans": 3}],
			"servers": [{"addr": "127.0.0.1:5432", "n": 10, "rtt_us": 30}]}'::jsonb))
$$;
SELECT send(3, 100), send(5, 20);
SELECT reporter, database, username, mode, size, sv_active, cl_waiting, maxwait_us, queries, wait_us, refused,
	expired_queued, expired_running, peak_waiting, total_queries
FROM pgweir.pools();
SELECT wait_p50_ms, wait_p95_ms, wait_p99_ms, run_p95_ms, deadline_p50_ms, gone_n, gone_peak_ms,
	round(gone_peak_share::numeric, 2) AS gone_peak_share
FROM pgweir.pools();
SELECT database, username, sqlstate, recent, total FROM pgweir.pool_errors() ORDER BY sqlstate;
SELECT reporter, kind, addr, n, rtt_ms, retrans, lost FROM pgweir.peers() ORDER BY kind;
SELECT pid = pg_backend_pid() AS me, reporter, client, port, application_name, state, wait_ms, deadline_left_ms
FROM pgweir.linked();
SELECT scope, reporter, database, username, size, active, idle, waiting, refused, deadline_missed, pressure, verdict
FROM pgweir.pool_pressure WHERE scope = 'pool';

-- version 2: upstreams, think time, lives, repeats, applications, logins
SELECT pgweir.report('v2', 2, jsonb_build_object('login_failures', 4, 'clients_refused', 2,
	'pools', '[{"db": "shop", "user": "postgres", "size": 10, "cl_blocked": 2, "maxblocked_us": 1500000, "failing_us": 3000000,
		"error": "connect failed", "unserved": 7, "logins_refused": 1, "repeat_units": 2, "repeat_statements": 60,
		"think_hist": [[40, 9]], "life_hist": [[60, 3]], "requests_hist": [[16, 5], [3, 5]],
		"repeats": [{"fingerprint": "00ff", "in_xact": 1, "query": "select * from item where order_id = ?", "units": 2,
			"statements": 60, "most": 40, "first_us": 5000000}]}]'::jsonb,
	'apps', '[{"app": "shop-2.1", "db": "shop", "clients": 3, "first_us": 60000000, "xacts": 5, "queries": 9, "query_us": 4500,
		"think_us": 500, "errors": 1}]'::jsonb,
	'net', '{"clients": [{"addr": "10.0.0.7", "n": 12, "rtt_us": 800, "rtt_max_us": 9000, "retrans": 3, "segments": 100,
		"lost": 1, "unacked": 5}]}'::jsonb)) >= 2 AS understood
FROM generate_series(1, 2);
SELECT login_failures, clients_refused FROM pgweir.reporters() WHERE reporter = 'v2';
SELECT cl_blocked, maxblocked_us, failing_us, error, unserved, logins_refused, repeat_units, repeat_statements,
	think_p50_ms, life_p50_ms, requests_p50, requests_p95
FROM pgweir.pools() WHERE reporter = 'v2';
SELECT database, username, kind, fingerprint, query, units, statements, most,
	first_seen BETWEEN clock_timestamp() - interval '30 s' AND clock_timestamp() - interval '5 s' AS since
FROM pgweir.repeats();
SELECT reporter, database, application_name, clients, xacts, queries, query_ms, think_ms, errors, total_queries,
	first_seen < clock_timestamp() - interval '59 s' AS since
FROM pgweir.applications();
SELECT addr, rtt_ms, rtt_max_ms, retrans, segments, lost, unacked FROM pgweir.peers() WHERE reporter = 'v2';
-- an address that was not looked at this time stays for a minute
SELECT pgweir.report('v2', 2, '{"net": {"clients": [{"addr": "10.0.0.8", "n": 1, "rtt_us": 100}]}}') >= 2 AS understood;
SELECT addr, rtt_ms, retrans FROM pgweir.peers() WHERE reporter = 'v2' ORDER BY addr;
SELECT pgweir.report('v2', 2, '{"apps": [{"app": 7}]}');
SELECT pgweir.report('v2', 2, '{"pools": [{"db": "shop", "repeats": [1]}]}');
-- more of them than there are places
SELECT pgweir.report('v2', 2, jsonb_build_object(
	'apps', (SELECT jsonb_agg(jsonb_build_object('app', 'app' || i, 'db', 'shop', 'queries', i)) FROM generate_series(1, 500) AS i),
	'net', jsonb_build_object('servers', (SELECT jsonb_agg(jsonb_build_object('addr', 'host' || i, 'n', 1)) FROM generate_series(1, 500) AS i)),
	'pools', jsonb_build_array(jsonb_build_object('db', 'shop', 'user', 'postgres', 'repeats',
		(SELECT jsonb_agg(jsonb_build_object('fingerprint', i::text, 'units', 1)) FROM generate_series(1, 500) AS i))))) >= 2 AS understood;
SELECT count(*) BETWEEN 10 AND 100 AS bounded FROM pgweir.applications();
SELECT count(*) BETWEEN 10 AND 100 AS bounded FROM pgweir.peers() WHERE reporter = 'v2';
SELECT count(*) BETWEEN 2 AND 20 AS bounded FROM pgweir.repeats();
SELECT pgweir.reset();
SELECT send(3, 100), send(5, 20);

-- another reporter's pool of the same name is another pool
SELECT pgweir.report('two', 1, '{"pools": [{"db": "shop", "user": "app", "size": 4, "sv_idle": 4}]}');
SELECT reporter, size, waiting, pressure, verdict FROM pgweir.pool_pressure WHERE scope = 'pool' ORDER BY reporter;

-- the real client is shown in the transaction that the report was about, and while its pool is pooled by session
BEGIN;
SELECT client_addr IS NULL OR host(client_addr) <> '10.0.0.7' AS not_real, real_client, via FROM pgweir.connections
WHERE pid = pg_backend_pid();
SELECT send(0, 0);
SELECT real_client, real_port, via, application_name, wait_ms FROM pgweir.connections WHERE pid = pg_backend_pid();
SELECT deadline_left_ms BETWEEN 1 AND 9000 AS deadline_left FROM pgweir.connections WHERE pid = pg_backend_pid();
COMMIT;
SELECT real_client, via FROM pgweir.connections WHERE pid = pg_backend_pid();

-- bounded: pools that find no place are counted
SELECT pgweir.report('one', 1, jsonb_build_object('pools',
	(SELECT jsonb_agg(jsonb_build_object('db', 'db' || i, 'user', 'u')) FROM generate_series(1, 2000) AS i)));
SELECT left_out > 0 AS left_out FROM pgweir.reporters() WHERE reporter = 'one';
SELECT count(*) = current_setting('pgweir.max_pools')::integer AS full FROM pgweir.pools();

-- whatever is sent, it is taken or refused for a reason that names the key
CREATE FUNCTION something(depth integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	keys text[] := '{v,pid,version,listen,clients,pools,db,user,mode,size,queries,wait_hist,errors,servers,net,deadline_left_us,apps,repeats,first_us,units}';
	value jsonb;
BEGIN
	CASE floor(random() * CASE WHEN depth > 3 THEN 5 ELSE 10 END)
		WHEN 0 THEN RETURN 'null';
		WHEN 1 THEN RETURN to_jsonb(round((random() * 10 ^ (random() * 30) - 100)::numeric, 2));
		WHEN 2 THEN RETURN to_jsonb(random() < 0.5);
		WHEN 3 THEN RETURN to_jsonb(repeat('é', (random() * 100)::integer));
		WHEN 4 THEN RETURN to_jsonb((random() * 100)::integer);
		WHEN 5 THEN
			SELECT jsonb_agg(something(depth + 1)) INTO value FROM generate_series(1, (random() * 3)::integer);
			RETURN coalesce(value, '[]');
		WHEN 6 THEN
			RETURN jsonb_build_array(jsonb_build_array((random() * 127)::integer, (random() * 9)::integer));
		WHEN 7 THEN
			RETURN jsonb_build_object('23505', 1, '57014', (random() * 9)::integer);
		ELSE
			SELECT jsonb_object_agg(keys[1 + (random() * 19)::integer], something(depth + 1)) INTO value
			FROM generate_series(1, 1 + (random() * 5)::integer);
			RETURN value;
	END CASE;
END $$;
DO $$
DECLARE
	taken integer := 0;
	refused integer := 0;
	keys text[] := '{size,db,user,mode,queries,wait_hist,run_hist,gone_hist,errors,cl_waiting,refused,new,maxwait_us,sv_idle,think_us,v,repeats,error,life_hist}';
BEGIN
	PERFORM setseed(0.5);
	FOR i IN 1 .. 4000 LOOP
		BEGIN
			-- a good pool with one key spoilt, or nothing good at all
			PERFORM pgweir.report('fuzz', 1, jsonb_build_object('pid', (random() * 9)::integer,
				'pools', jsonb_build_array(jsonb_build_object('db', 'db' || i % 90, 'user', 'app', 'size', 3,
					'wait_hist', '[[3, 4], [127, 1]]'::jsonb, 'errors', '{"23505": 1}'::jsonb)
					|| jsonb_build_object(keys[1 + (random() * 18)::integer], something(3))))
				|| CASE WHEN i % 3 = 0 THEN jsonb_build_object('servers', something(2), 'net', something(2), 'apps', something(2)) ELSE '{}' END
				|| CASE WHEN i % 9 = 0 THEN something(0) ELSE '{}' END);
			taken := taken + 1;
		EXCEPTION WHEN invalid_parameter_value THEN
			IF SQLERRM !~ '^invalid report: "' THEN RAISE; END IF;
			refused := refused + 1;
		END;
	END LOOP;
	RAISE NOTICE 'some taken: %, some refused: %', taken > 100, refused > 100;
END $$;
SELECT count(*) >= 0 AS readable FROM pgweir.pools() AS p, pgweir.linked() AS l, pgweir.peers() AS n, pgweir.pool_errors() AS e,
	pgweir.applications() AS a, pgweir.repeats() AS r;
SELECT count(*) AS causes FROM pgweir.diagnosis;

SELECT pgweir.reset();
SELECT count(*) FROM pgweir.reporters();
DROP FUNCTION send, something;
