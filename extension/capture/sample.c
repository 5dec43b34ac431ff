/*
 * sample.c: keeping single executions and plans.
 *
 * Rows are counted in each node of the plan in one execution of many (pgweir.sample_rate), and in the one of a class that follows one
 * which was kept without them; all others run without instrumentation.
 *
 * An execution that failed cannot be described in its catch block, where nothing may be allocated: what is known without
 * that is put in static memory, and stored when the transaction is aborted.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "access/xact.h"
#include "capture/capture.h"
#include "capture/sample.h"
#include "capture/tags.h"
#include "catalog/pg_type.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "stores/backends.h"
#include "stores/plans.h"
#include "stores/samples.h"
#include "utils/backend_status.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_PARAMS 100
#define MAX_PARAM_LEN 256
#define MAX_FAILED_PARAMS 2048	/* bytes */
#define MAX_FAILED_TEXT 4096

static struct
{
	bool		noted;
	PgweirSample sample;
	char		text[MAX_FAILED_TEXT];
	char		params[MAX_FAILED_PARAMS];
}			failed;

static int	executions_to_go = 0;
static uint32 random_state = 0;

bool
pgweir_sample_is_due(int entry, uint64 ns)
{
	uint64		usual;

	if (pgweir_sample_memory_kb == 0)
		return false;
	if (pgweir_slow_threshold_ms >= 0 && ns >= (uint64) pgweir_slow_threshold_ms * 1000000)
		return true;
	if (ns < PGWEIR_UNUSUAL_MIN_NS || entry < 0 || pgweir_slow_factor <= 0)
		return false;
	usual = pgweir_delta_usual_ns(entry);
	return usual > 0 && (double) ns >= pgweir_slow_factor * (double) usual;
}

/* The address as the server status has it: the header of the connection itself is not there on every machine. */
static void
note_client(PgweirSample *sample)
{
	const struct sockaddr_storage *address = MyBEEntry == NULL ? NULL : &MyBEEntry->st_clientaddr.addr;

	if (address == NULL)
		return;
	if (address->ss_family == AF_INET)
		(void) inet_ntop(AF_INET, &((const struct sockaddr_in *) address)->sin_addr, sample->client, sizeof(sample->client));
	else if (address->ss_family == AF_INET6)
		(void) inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) address)->sin6_addr, sample->client, sizeof(sample->client));
}

/* What needs no allocation.  The text is cut at a character. */
static void
describe(PgweirSample *sample, const PgweirMeter *meter, uint64 ns)
{
	memset(sample, 0, sizeof(*sample));
	sample->key = meter->key;
	sample->pid = MyProcPid;
	sample->encoding = GetDatabaseEncoding();
	sample->started = GetCurrentStatementStartTimestamp();
	sample->duration_ns = ns;
	sample->usual_ns = meter->entry >= 0 ? pgweir_delta_usual_ns(meter->entry) : 0;
	sample->plan_id = meter->entry >= 0 ? pgweir_delta_plan(meter->entry) : 0;
	sample->deadline_us = pgweir_deadline_us;
	sample->estimated_rows = -1;
	if (pgweir_level == 0)
		pgweir_backend_own_waits(sample->waits, &sample->blocker);
	if (sample->deadline_us == 0 && meter->text != NULL)
		(void) pgweir_comment_deadline(meter->text, strlen(meter->text), &sample->deadline_us);
	strlcpy(sample->application, application_name ? application_name : "", sizeof(sample->application));
	note_client(sample);
	if (meter->text != NULL)
		(void) pgweir_tag_value(meter->text, "traceparent", sample->traceparent, sizeof(sample->traceparent));
}

static int
clip(const char *text, int len, int limit)
{
	return len <= limit ? len : pg_mbcliplen(text, len, limit);
}

/* All parameters by the output functions of their types. */
static char *
print_params(const ParamListInfo params, int *len)
{
	int			n = params == NULL || !pgweir_sample_parameters ? 0 : Min(params->numParams, MAX_PARAMS);
	char	   *out = palloc(n * pgweir_sample_param_size(MAX_PARAM_LEN) + 1);
	char	   *end = out;

	for (int i = 0; i < n; i++)
	{
		ParamExternData buffer;
		ParamExternData *param = params->paramFetch != NULL ? params->paramFetch(params, i + 1, false, &buffer) : &params->params[i];
		Oid			output;
		bool		is_varlena;
		char	   *text;

		if (!OidIsValid(param->ptype) || param->isnull)
		{
			end = pgweir_sample_put_param(end, param->ptype, NULL,
										  OidIsValid(param->ptype) ? PGWEIR_PARAM_NULL : PGWEIR_PARAM_UNTOLD);
			continue;
		}
		getTypeOutputInfo(param->ptype, &output, &is_varlena);
		text = OidOutputFunctionCall(output, param->value);
		end = pgweir_sample_put_param(end, param->ptype, text, clip(text, strlen(text), MAX_PARAM_LEN));
	}
	*len = end - out;
	return out;
}

/* Those whose text can be had without allocating. */
static char *
print_simple_param(char *p, const ParamExternData *param)
{
	char		digits[32];
	struct varlena *value;

	switch (param->ptype)
	{
		case INT2OID:
			return pgweir_sample_put_param(p, INT2OID, digits, snprintf(digits, sizeof(digits), "%d", DatumGetInt16(param->value)));
		case INT4OID:
			return pgweir_sample_put_param(p, INT4OID, digits, snprintf(digits, sizeof(digits), "%d", DatumGetInt32(param->value)));
		case INT8OID:
			return pgweir_sample_put_param(p, INT8OID, digits,
										   snprintf(digits, sizeof(digits), INT64_FORMAT, DatumGetInt64(param->value)));
		case FLOAT8OID:
			return pgweir_sample_put_param(p, FLOAT8OID, digits, snprintf(digits, sizeof(digits), "%.17g", DatumGetFloat8(param->value)));
		case OIDOID:
			return pgweir_sample_put_param(p, OIDOID, digits, snprintf(digits, sizeof(digits), "%u", DatumGetObjectId(param->value)));
		case BOOLOID:
			return pgweir_sample_put_param(p, BOOLOID, DatumGetBool(param->value) ? "t" : "f", 1);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
			value = (struct varlena *) DatumGetPointer(param->value);
			if (!VARATT_IS_EXTERNAL(value) && !VARATT_IS_COMPRESSED(value))
				return pgweir_sample_put_param(p, param->ptype, VARDATA_ANY(value),
											   clip(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), MAX_PARAM_LEN));
			break;
	}
	return pgweir_sample_put_param(p, param->ptype, NULL, PGWEIR_PARAM_UNTOLD);
}

static int
print_simple_params(const ParamListInfo params)
{
	char	   *end = failed.params;

	if (params == NULL || !pgweir_sample_parameters || params->paramFetch != NULL)
		return 0;
	for (int i = 0; i < params->numParams; i++)
	{
		if ((Size) (end - failed.params) + pgweir_sample_param_size(MAX_PARAM_LEN) > sizeof(failed.params))
			break;
		if (params->params[i].isnull)
			end = pgweir_sample_put_param(end, params->params[i].ptype, NULL, PGWEIR_PARAM_NULL);
		else
			end = print_simple_param(end, &params->params[i]);
	}
	return end - failed.params;
}

/* The plan as it ran; NULL without one. */
static char *
print_plan(QueryDesc *desc, ExplainFormat format, int *len)
{
	ExplainState *es = NewExplainState();

	es->analyze = (desc->instrument_options & INSTRUMENT_ROWS) != 0;
	es->costs = true;
	es->timing = false;
	es->summary = false;
	es->format = format;
	ExplainBeginOutput(es);
	ExplainPrintPlan(es, desc);
	ExplainEndOutput(es);
	while (es->str->len > 0 && es->str->data[es->str->len - 1] == '\n')
		es->str->data[--es->str->len] = '\0';
	/* ExplainPrintPlan writes a property, for which an object is missing around it. */
	if (format == EXPLAIN_FORMAT_JSON && es->str->len > 1)
	{
		es->str->data[0] = '{';
		es->str->data[es->str->len - 1] = '}';
	}
	*len = es->str->len;
	return es->str->data;
}

static double
misestimate(double estimated, double actual)
{
	estimated = Max(estimated, 1);
	actual = Max(actual, 1);
	return estimated > actual ? estimated / actual : actual / estimated;
}

/* The kinds of nodes whose number of rows is an estimate worth looking at. */
static const char *
node_name(const Plan *plan)
{
	static const struct
	{
		NodeTag		tag;
		const char *name;
	}			names[] =
	{
		{T_SeqScan, "Seq Scan"}, {T_IndexScan, "Index Scan"}, {T_IndexOnlyScan, "Index Only Scan"},
		{T_BitmapHeapScan, "Bitmap Heap Scan"}, {T_BitmapIndexScan, "Bitmap Index Scan"}, {T_NestLoop, "Nested Loop"},
		{T_MergeJoin, "Merge Join"}, {T_HashJoin, "Hash Join"}, {T_Agg, "Aggregate"}, {T_FunctionScan, "Function Scan"},
		{T_SubqueryScan, "Subquery Scan"}, {T_CteScan, "CTE Scan"}, {T_ForeignScan, "Foreign Scan"}, {T_Append, "Append"},
	};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (names[i].tag == nodeTag(plan))
			return names[i].name;
	}
	return NULL;
}

static bool
find_worst(PlanState *state, PgweirSample *sample)
{
	const Instrumentation *seen = state->instrument;

	if (seen != NULL && seen->nloops > 0 && node_name(state->plan) != NULL)
	{
		double		actual = seen->ntuples / seen->nloops;

		if (sample->worst_node[0] == '\0' ||
			misestimate(state->plan->plan_rows, actual) > misestimate(sample->worst_estimated, sample->worst_actual))
		{
			sample->worst_estimated = state->plan->plan_rows;
			sample->worst_actual = actual;
			strlcpy(sample->worst_node, node_name(state->plan), sizeof(sample->worst_node));
		}
	}
	return planstate_tree_walker(state, find_worst, sample);
}

void
pgweir_sample_take(const PgweirMeter *meter, QueryDesc *desc, uint64 ns)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgweir sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	const char *part[PGWEIR_SAMPLE_PARTS] = {0};
	PgweirSample sample;

	describe(&sample, meter, ns);
	sample.reason = pgweir_slow_threshold_ms >= 0 && ns >= (uint64) pgweir_slow_threshold_ms * 1000000
		? PGWEIR_SAMPLE_SLOW : PGWEIR_SAMPLE_UNUSUAL;
	if (pgweir_sample_parameters && meter->text != NULL)
	{
		part[PGWEIR_SAMPLE_TEXT] = meter->text;
		sample.len[PGWEIR_SAMPLE_TEXT] = clip(meter->text, strlen(meter->text), pgweir_query_size);
	}
	if (desc != NULL)
	{
		part[PGWEIR_SAMPLE_PARAMS] = print_params(desc->params, &sample.len[PGWEIR_SAMPLE_PARAMS]);
		sample.estimated_rows = desc->plannedstmt->planTree->plan_rows;
		sample.actual_rows = (double) desc->estate->es_processed;
		/* A plan shows constants, as a text and parameters do. */
		if (pgweir_sample_parameters)
		{
			part[PGWEIR_SAMPLE_PLAN] = print_plan(desc, EXPLAIN_FORMAT_TEXT, &sample.len[PGWEIR_SAMPLE_PLAN]);
			part[PGWEIR_SAMPLE_PLAN_JSON] = print_plan(desc, EXPLAIN_FORMAT_JSON, &sample.len[PGWEIR_SAMPLE_PLAN_JSON]);
		}
		if (desc->instrument_options & INSTRUMENT_ROWS)
			(void) find_worst(desc->planstate, &sample);
		else if (meter->entry >= 0)
			pgweir_delta_set_instrument(meter->entry);
	}
	pgweir_sample_store(&sample, part);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static bool
is_timeout(PgweirCounter kind)
{
	return kind == PGWEIR_STATEMENT_TIMEOUT || kind == PGWEIR_LOCK_TIMEOUT || kind == PGWEIR_DEADLINE_MISSED ||
		kind == PGWEIR_CANCELLED || kind == PGWEIR_DEADLOCK;
}

void
pgweir_sample_note_failure(const PgweirMeter *meter, PgweirCounter kind, const ParamListInfo params, uint64 ns)
{
	int			len;

	/* Of nested ones the outermost, which comes last, stays. */
	if (pgweir_sample_memory_kb == 0 || !is_timeout(kind))
		return;
	describe(&failed.sample, meter, ns);
	failed.sample.reason = PGWEIR_SAMPLE_FAILED;
	failed.sample.failure = kind;
	if (pgweir_sample_parameters && meter->text != NULL)
	{
		len = clip(meter->text, strlen(meter->text), Min(MAX_FAILED_TEXT, pgweir_query_size));
		memcpy(failed.text, meter->text, len);
		failed.sample.len[PGWEIR_SAMPLE_TEXT] = len;
	}
	failed.sample.len[PGWEIR_SAMPLE_PARAMS] = print_simple_params(params);
	failed.noted = true;
}

static void
store_failed(void)
{
	const char *part[PGWEIR_SAMPLE_PARTS] = {failed.text, failed.params};

	if (!failed.noted)
		return;
	failed.noted = false;
	pgweir_sample_store(&failed.sample, part);
}

/* The locks of what failed have been released by now. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		store_failed();
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		store_failed();
}

/* Executions to pass by, so that one of 1 / rate is taken, but not each nth of a loop. */
static int
draw_gap(void)
{
	double		gap = 2.0 / pgweir_sample_rate;

	if (random_state == 0)
		random_state = (uint32) MyProcPid * 2654435761U + 1;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return (int) Min(gap * ((double) random_state / (double) PG_UINT32_MAX), (double) PG_INT32_MAX / 2);
}

bool
pgweir_sample_instrument(const PgweirKey *key)
{
	int			entry;

	if (pgweir_sample_memory_kb == 0)
		return false;
	if (pgweir_sample_rate > 0)
	{
		if (executions_to_go <= 0)
		{
			executions_to_go = draw_gap();
			return true;
		}
		executions_to_go--;
	}
	if (!pgweir_deltas_any_instrument())
		return false;
	entry = pgweir_delta_find(key);
	return entry >= 0 && pgweir_delta_take_instrument(entry);
}

static void
put_plan_text(const PgweirKey *key, int64 plan_id, QueryDesc *desc)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgweir plan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	int			options = desc->instrument_options;
	int			len;
	char	   *text;

	/* What this one execution counted is no part of the plan. */
	desc->instrument_options = 0;
	text = print_plan(desc, EXPLAIN_FORMAT_TEXT, &len);
	desc->instrument_options = options;
	pgweir_plan_put_text(key, plan_id, GetCurrentStatementStartTimestamp(), text, len);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
pgweir_sample_plan(int entry, QueryDesc *desc)
{
	const PgweirKey *key = pgweir_delta_key(entry);
	int64		plan_id = pgweir_delta_plan(entry);
	bool		restless;

	if (plan_id == 0 || !pgweir_plans_wanted())
		return;
	if (!pgweir_plan_has_text(key, plan_id, GetCurrentStatementStartTimestamp(), &restless))
	{
		/* Where texts would go as fast as they come, a plan is worth one when it is executed again. */
		if (restless && !pgweir_delta_put_off_plan(entry))
			return;
		put_plan_text(key, plan_id, desc);
	}
	pgweir_delta_set_plan_shown(entry);
}

void
pgweir_sample_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
