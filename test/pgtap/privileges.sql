-- Who may see and do what.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset pager off
SET client_min_messages TO warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgweir;
CREATE ROLE regress_plain;
CREATE ROLE regress_other;
CREATE ROLE regress_reader IN ROLE pg_read_all_stats;
CREATE ROLE regress_sidecar;
SELECT no_plan();

SELECT pgweir.reset();
SET LOCAL ROLE regress_other;
SELECT 'of the other' AS secret_column, true, true, true;
SET LOCAL ROLE regress_plain;
SELECT 'of the plain one' AS own_column, true, true, true, true;

-- a plain user
SELECT is((SELECT count(*) FROM pgweir.slow_queries WHERE username = 'regress_plain' AND query ~ 'own_column'), 1::bigint,
	'a user sees his own statements');
SELECT is((SELECT count(*) FROM pgweir.slow_queries WHERE query ~ 'secret_column'), 0::bigint, 'but no text of others');
SELECT cmp_ok((SELECT count(*) FROM pgweir.slow_queries WHERE username = 'regress_other'), '>', 0::bigint, 'others'' statements are there');
SELECT is_empty($$SELECT * FROM pgweir.slow_queries WHERE username <> 'regress_plain'
	AND (query <> '<insufficient privilege>' OR queryid IS NOT NULL)$$, 'without text and id');
SELECT is_empty($$SELECT * FROM pgweir.statements(true) WHERE userid <> 'regress_plain'::regrole
	AND (query <> '<insufficient privilege>' OR queryid IS NOT NULL)$$, 'also in the function below the view');
SELECT is_empty($$SELECT * FROM pgweir.statements(false) WHERE query <> '<insufficient privilege>'$$,
	'no text where none was asked for');
SELECT lives_ok('SELECT * FROM pgweir.running_queries', 'he may read running_queries');
SELECT lives_ok('SELECT * FROM pgweir.connections', 'and connections');
SELECT is_empty('SELECT * FROM pgweir.peers()', 'addresses of the network are not for him');
SELECT throws_ok('SELECT * FROM pgweir.pool_pressure', '42501', NULL, 'nor is pool_pressure, which would count wrong');
SELECT throws_ok('SELECT * FROM pgweir.diagnosis', '42501', NULL, 'nor diagnosis');
SELECT throws_ok('SELECT pgweir.reset()', '42501', NULL, 'he may not reset');
SELECT throws_ok($$SELECT pgweir.report('x', 1, '{}')$$, '42501', NULL, 'he may not report');
SELECT lives_ok('SELECT pgweir.flush()', 'he may flush his own counts');

-- whose connection it is
RESET ROLE;
SELECT pgweir.report('one', 1, jsonb_build_object('servers', jsonb_build_array(
	jsonb_build_object('pid', 1, 'user', 'regress_other', 'client', '10.0.0.1'),
	jsonb_build_object('pid', 2, 'user', 'regress_plain', 'client', '10.0.0.2'),
	jsonb_build_object('pid', 3, 'user', 'regress_no_such_role', 'client', '10.0.0.3')),
	'net', '{"clients": [{"addr": "10.0.0.1", "n": 1}]}'::jsonb));
SET LOCAL ROLE regress_plain;
SELECT results_eq('SELECT client FROM pgweir.linked()', ARRAY['10.0.0.2'], 'a user sees the real clients of his own connections only');
SELECT is_empty('SELECT * FROM pgweir.peers()', 'and no address of the network');

-- a reader of statistics
SET LOCAL ROLE regress_reader;
SELECT is((SELECT count(*) FROM pgweir.slow_queries WHERE username = 'regress_other' AND query ~ 'secret_column'), 1::bigint,
	'a member of pg_read_all_stats sees texts of others');
SELECT results_eq('SELECT client FROM pgweir.linked() ORDER BY client', ARRAY['10.0.0.1', '10.0.0.2', '10.0.0.3'], 'and all clients');
SELECT results_eq('SELECT addr FROM pgweir.peers()', ARRAY['10.0.0.1'], 'and addresses');
SELECT lives_ok('SELECT * FROM pgweir.pool_pressure', 'and pool_pressure');
SELECT lives_ok('SELECT * FROM pgweir.diagnosis', 'and diagnosis');
SELECT throws_ok('SELECT pgweir.reset()', '42501', NULL, 'but may not reset');
SELECT throws_ok($$SELECT pgweir.report('x', 1, '{}')$$, '42501', NULL, 'and not report');

-- a sidecar's role
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgweir.report(text, integer, jsonb) TO regress_sidecar;
SET LOCAL ROLE regress_sidecar;
SELECT lives_ok($$SELECT pgweir.report('x', 1, '{}')$$, 'a role that was granted report may report');
SELECT throws_ok('SELECT pgweir.reset()', '42501', NULL, 'and nothing else');

-- one who puts his own functions and operators in front gets nowhere
RESET ROLE;
CREATE SCHEMA regress_trap;
CREATE FUNCTION regress_trap.boom(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR regress_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_trap.boom);
CREATE OPERATOR regress_trap.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_trap.boom);
CREATE FUNCTION regress_trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION regress_trap.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE FUNCTION regress_trap.walk_into(statement text) RETURNS text LANGUAGE plpgsql
SET search_path TO regress_trap, pg_catalog, public AS $$
BEGIN
	EXECUTE statement;
	RETURN 'unharmed';
EXCEPTION WHEN raise_exception THEN
	RETURN SQLERRM;
END $$;
SELECT is(regress_trap.walk_into('SELECT clock_timestamp()'), 'trapped', 'a trap in the search_path');
SELECT is(regress_trap.walk_into($$SELECT 'a'::text = 'b'::text$$), 'trapped', 'and one for an operator');
SELECT is(regress_trap.walk_into('SELECT * FROM pgweir.' || view), 'unharmed', 'is nothing to ' || view)
FROM unnest(ARRAY['diagnosis', 'signals', 'pool_pressure', 'running_queries', 'connections', 'slow_queries', 'thresholds()',
	'server_slots()', 'ms_since(now())']) AS view;

SELECT * FROM finish();
ROLLBACK;
