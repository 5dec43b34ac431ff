/*
 * payload.c: from JSON to a report.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "stores/payload.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define MAX_ELEMENTS 100000		/* of an array; far above what a sidecar sends */

const char *const pgweir_gauge_keys[PGWEIR_PG_NGAUGES] = {
	"size", "reserve", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "cl_active", "cl_waiting",
	"maxwait_us", "cl_blocked", "maxblocked_us", "failing_us"
};

const char *const pgweir_pool_counter_keys[PGWEIR_PC_NCOUNTERS] = {
	"xacts", "queries", "wait_us", "xact_us", "query_us", "refused", "expired_queued", "expired_running",
	"expired_grace", "gone_waiting", "gone_running", "wait_timeouts", "logins", "disconnects", "connects",
	"connect_failures", "think_us", "think_n", "drain_us", "unserved", "logins_refused", "repeat_units", "repeat_statements"
};

static const char *const hist_keys[PGWEIR_PH_NHISTS] = {
	"wait_hist", "run_hist", "gone_hist", "deadline_hist", "think_hist", "life_hist", "requests_hist"
};

static const char *const app_counter_keys[PGWEIR_AC_NCOUNTERS] = {"xacts", "queries", "query_us", "think_us", "errors"};

static void
bad_value(const char *key, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid report: \"%s\" must be %s", key, expected)));
}

/* The value of a key of an object, NULL when it is missing or null. */
static JsonbValue *
lookup(JsonbContainer *object, const char *key)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static int64
value_int(const JsonbValue *value, const char *key, int64 min, int64 max)
{
	Datum		number;

	if (value->type != jbvNumeric)
		bad_value(key, "a number");
	number = DirectFunctionCall2(numeric_trunc, NumericGetDatum(value->val.numeric), Int32GetDatum(0));
	/* Compare before converting, which would raise an error that does not name the key. */
	if (DatumGetBool(DirectFunctionCall2(numeric_lt, number, NumericGetDatum(int64_to_numeric(min)))) ||
		DatumGetBool(DirectFunctionCall2(numeric_gt, number, NumericGetDatum(int64_to_numeric(max)))))
		bad_value(key, "a number in its range");
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

/* A count or duration; missing is 0. */
static uint64
get_uint(JsonbContainer *object, const char *key)
{
	JsonbValue *value = lookup(object, key);

	return value == NULL ? 0 : (uint64) value_int(value, key, 0, PG_INT64_MAX / 1024);
}

static int
get_int32(JsonbContainer *object, const char *key)
{
	JsonbValue *value = lookup(object, key);

	return value == NULL ? 0 : (int) value_int(value, key, 0, PG_INT32_MAX);
}

static void
get_name(JsonbContainer *object, const char *key, char *name, int size)
{
	JsonbValue *value = lookup(object, key);
	int			len;

	name[0] = '\0';
	if (value == NULL)
		return;
	if (value->type != jbvString)
		bad_value(key, "a string");
	len = value->val.string.len;
	if (len >= size)
		len = pg_mbcliplen(value->val.string.val, len, size - 1);
	memcpy(name, value->val.string.val, len);
	name[len] = '\0';
}

/* The array or object under a key; NULL when it is missing. */
static JsonbContainer *
get_container(JsonbContainer *object, const char *key, bool array)
{
	JsonbValue *value = lookup(object, key);

	if (value == NULL)
		return NULL;
	if (value->type != jbvBinary ||
		(array ? !JsonContainerIsArray(value->val.binary.data) : !JsonContainerIsObject(value->val.binary.data)))
		bad_value(key, array ? "an array" : "an object");
	if (JsonContainerSize(value->val.binary.data) > MAX_ELEMENTS)
		bad_value(key, "shorter");
	return value->val.binary.data;
}

static int
count_elements(JsonbContainer *array)
{
	return array == NULL ? 0 : (int) JsonContainerSize(array);
}

static JsonbContainer *
get_object_element(JsonbContainer *array, int i, const char *key)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array, i);

	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		bad_value(key, "an array of objects");
	return value->val.binary.data;
}

/* A histogram is [[bucket, count], ...]. */
static void
get_hist(JsonbContainer *object, const char *key, uint64 *hist)
{
	JsonbContainer *array = get_container(object, key, true);

	for (int i = 0; array != NULL && i < (int) JsonContainerSize(array); i++)
	{
		JsonbValue *pair = getIthJsonbValueFromContainer(array, i);
		int64		bucket;

		if (pair->type != jbvBinary || !JsonContainerIsArray(pair->val.binary.data) ||
			JsonContainerSize(pair->val.binary.data) != 2)
			bad_value(key, "an array of pairs of bucket and count");
		bucket = value_int(getIthJsonbValueFromContainer(pair->val.binary.data, 0), key, 0, PGWEIR_BUCKETS - 1);
		hist[bucket] += (uint64) value_int(getIthJsonbValueFromContainer(pair->val.binary.data, 1), key, 0,
										   PG_UINT32_MAX);
	}
}

/* Errors are an object of SQLSTATE and count; those beyond what is kept are added to the last. */
static void
get_errors(JsonbContainer *object, PgweirPoolReport *pool)
{
	JsonbContainer *errors = get_container(object, "errors", false);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	PgweirSqlstate *last = NULL;

	if (errors == NULL)
		return;
	it = JsonbIteratorInit(errors);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			if (value.val.string.len != 5)
				bad_value("errors", "an object of SQLSTATE and count");
			if (pool->n_sqlstates < PGWEIR_SQLSTATES)
				last = &pool->sqlstate[pool->n_sqlstates++];
			memcpy(last->code, value.val.string.val, 5);
		}
		else if (token == WJB_VALUE)
			last->count += (uint64) value_int(&value, "errors", 0, PG_UINT32_MAX);
	}
}

static void
parse_repeat(JsonbContainer *object, PgweirRepeat *repeat)
{
	get_name(object, "fingerprint", repeat->fingerprint, sizeof(repeat->fingerprint));
	repeat->in_xact = get_uint(object, "in_xact") != 0;
	get_name(object, "query", repeat->query, sizeof(repeat->query));
	repeat->units = get_uint(object, "units");
	repeat->statements = get_uint(object, "statements");
	repeat->most = get_uint(object, "most");
	repeat->first_us = get_uint(object, "first_us");
}

static void
parse_repeats(JsonbContainer *object, PgweirPoolReport *pool)
{
	JsonbContainer *array = get_container(object, "repeats", true);

	pool->n_repeats = Min(count_elements(array), PGWEIR_REPEATS);
	for (int i = 0; i < pool->n_repeats; i++)
		parse_repeat(get_object_element(array, i, "repeats"), &pool->repeat[i]);
}

static void
parse_pool(JsonbContainer *object, PgweirPoolReport *pool)
{
	get_name(object, "db", pool->db, sizeof(pool->db));
	get_name(object, "user", pool->user, sizeof(pool->user));
	get_name(object, "mode", pool->mode, sizeof(pool->mode));
	get_name(object, "error", pool->error, sizeof(pool->error));
	for (int i = 0; i < PGWEIR_PG_NGAUGES; i++)
		pool->gauge[i] = get_uint(object, pgweir_gauge_keys[i]);
	for (int i = 0; i < PGWEIR_PC_NCOUNTERS; i++)
		pool->counter[i] = get_uint(object, pgweir_pool_counter_keys[i]);
	for (int i = 0; i < PGWEIR_PH_NHISTS; i++)
		get_hist(object, hist_keys[i], pool->hist[i]);
	get_errors(object, pool);
	parse_repeats(object, pool);
}

static void
parse_linked(JsonbContainer *object, PgweirLinked *linked)
{
	JsonbValue *left = lookup(object, "deadline_left_us");

	linked->pid = get_int32(object, "pid");
	get_name(object, "db", linked->db, sizeof(linked->db));
	get_name(object, "user", linked->user, sizeof(linked->user));
	get_name(object, "client", linked->client, sizeof(linked->client));
	linked->port = get_int32(object, "port");
	get_name(object, "app", linked->app, sizeof(linked->app));
	get_name(object, "state", linked->state, sizeof(linked->state));
	linked->wait_us = get_uint(object, "wait_us");
	linked->since_us = get_uint(object, "since_us");
	linked->has_deadline = left != NULL;
	if (left != NULL)
		linked->deadline_left_us = value_int(left, "deadline_left_us", PG_INT64_MIN / 1024, PG_INT64_MAX / 1024);
}

static void
parse_peers(PgweirReport *report, JsonbContainer *array, const char *key, bool is_server)
{
	for (int i = 0; i < count_elements(array); i++)
	{
		JsonbContainer *object = get_object_element(array, i, key);
		PgweirPeer *peer = &report->peers[report->n_peers++];

		get_name(object, "addr", peer->addr, sizeof(peer->addr));
		peer->is_server = is_server;
		peer->n = get_uint(object, "n");
		peer->rtt_us = get_uint(object, "rtt_us");
		peer->rttvar_us = get_uint(object, "rttvar_us");
		peer->rtt_max_us = get_uint(object, "rtt_max_us");
		peer->retrans = get_uint(object, "retrans");
		peer->segments = get_uint(object, "segments");
		peer->lost = get_uint(object, "lost");
		peer->unacked = get_uint(object, "unacked");
	}
}

static void
parse_net(JsonbContainer *root, PgweirReport *report)
{
	JsonbContainer *net = get_container(root, "net", false);
	JsonbContainer *clients;
	JsonbContainer *servers;

	if (net == NULL)
		return;
	clients = get_container(net, "clients", true);
	servers = get_container(net, "servers", true);
	report->peers = palloc0((count_elements(clients) + count_elements(servers) + 1) * sizeof(PgweirPeer));
	parse_peers(report, servers, "servers", true);
	parse_peers(report, clients, "clients", false);
}

static void
parse_pools(JsonbContainer *root, PgweirReport *report)
{
	JsonbContainer *array = get_container(root, "pools", true);

	report->n_pools = count_elements(array);
	report->pools = MemoryContextAllocExtended(CurrentMemoryContext, (report->n_pools + 1) * sizeof(PgweirPoolReport),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < report->n_pools; i++)
	{
		CHECK_FOR_INTERRUPTS();
		parse_pool(get_object_element(array, i, "pools"), &report->pools[i]);
	}
}

static void
parse_servers(JsonbContainer *root, PgweirReport *report)
{
	JsonbContainer *array = get_container(root, "servers", true);

	report->n_linked = count_elements(array);
	report->linked = palloc0((report->n_linked + 1) * sizeof(PgweirLinked));
	for (int i = 0; i < report->n_linked; i++)
		parse_linked(get_object_element(array, i, "servers"), &report->linked[i]);
}

static void
parse_apps(JsonbContainer *root, PgweirReport *report)
{
	JsonbContainer *array = get_container(root, "apps", true);

	report->n_apps = count_elements(array);
	report->apps = palloc0((report->n_apps + 1) * sizeof(PgweirApp));
	for (int i = 0; i < report->n_apps; i++)
	{
		JsonbContainer *object = get_object_element(array, i, "apps");
		PgweirApp  *app = &report->apps[i];

		get_name(object, "app", app->name, sizeof(app->name));
		get_name(object, "db", app->db, sizeof(app->db));
		app->clients = get_uint(object, "clients");
		app->first_us = get_uint(object, "first_us");
		for (int j = 0; j < PGWEIR_AC_NCOUNTERS; j++)
			app->counter[j] = get_uint(object, app_counter_keys[j]);
	}
}

PgweirReport *
pgweir_payload_parse(Jsonb *payload)
{
	PgweirReport *report = palloc0(sizeof(PgweirReport));
	JsonbContainer *root = &payload->root;

	if (!JsonContainerIsObject(root))
		bad_value("payload", "an object");
	report->pid = get_int32(root, "pid");
	get_name(root, "version", report->version, sizeof(report->version));
	get_name(root, "listen", report->listen, sizeof(report->listen));
	report->uptime_us = get_uint(root, "uptime_us");
	report->interval_us = get_uint(root, "interval_us");
	report->clients = get_uint(root, "clients");
	report->max_clients = get_uint(root, "max_clients");
	report->login_failures = get_uint(root, "login_failures");
	report->clients_refused = get_uint(root, "clients_refused");
	parse_pools(root, report);
	parse_servers(root, report);
	parse_net(root, report);
	parse_apps(root, report);
	return report;
}
