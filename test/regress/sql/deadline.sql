--
-- pgweir.deadline and the comment that asks for one.
--
SET client_min_messages TO warning;
CREATE EXTENSION IF NOT EXISTS pgweir;
RESET client_min_messages;

SHOW pgweir.deadline;
SET pgweir.deadline TO '250ms';
SHOW pgweir.deadline;
SET pgweir.deadline TO '250 us';
SET pgweir.deadline TO ' 1.5s ';
SET pgweir.deadline TO '2min';
SET pgweir.deadline TO '3';
SET pgweir.deadline TO '.5';
SET pgweir.deadline TO '0';
SET pgweir.deadline TO '';
-- what is no duration
SET pgweir.deadline TO '250x';
SET pgweir.deadline TO 'soon';
SET pgweir.deadline TO '-1s';
SET pgweir.deadline TO 'ms';
SET pgweir.deadline TO '1s2';
SET pgweir.deadline TO '1e9';
SET pgweir.deadline TO '99999999999999999999';
SHOW pgweir.deadline;
-- reverts with its transaction
BEGIN;
SET LOCAL pgweir.deadline TO '1s';
SHOW pgweir.deadline;
COMMIT;
SHOW pgweir.deadline;
-- is known to the server as one to report
SELECT name, setting, context, vartype FROM pg_settings WHERE name = 'pgweir.deadline';

SELECT pgweir.comment_deadline(q) AS ms, q FROM unnest(ARRAY[
	$$/* pgweir_deadline='250ms' */ SELECT 1$$,
	$$SELECT 1 /*pgweir_deadline='1.5'*/$$,
	$$SELECT 1 /* application='shop',pgweir_deadline='20ms',traceparent='00-1' */$$,
	$$/* other */ SELECT 1 /* pgweir_deadline='3s' */$$,
	$$SELECT 1$$,
	$$SELECT ' pgweir_deadline=''1s'' '$$,
	$$/* nothing */ SELECT 'pgweir_deadline='1s'$$,
	$$SELECT 1 /* pgweir_deadline='nonsense' */$$,
	$$SELECT 1 /* pgweir_deadline='0' */$$,
	$$SELECT 1 /* pgweir_deadline='5ms$$]) AS q;

-- a cancel counts as a missed deadline while one is in force; a statement timeout stays one
SELECT pgweir.reset();
BEGIN;
SET LOCAL pgweir.deadline TO '10ms';
SET LOCAL statement_timeout TO '300ms';
SELECT pg_sleep(3600);
ROLLBACK;
SELECT query, statement_timeouts, deadline_missed, cancelled FROM pgweir.slow_queries WHERE query ~ 'pg_sleep';

-- the prefix is ours
SET pgweir.no_such_setting TO 1;
