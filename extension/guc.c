/*
 * guc.c: the extension's settings.
 */
#include "postgres.h"

#include <math.h>

#include "compat.h"
#include "guc.h"

int			pgweir_track = PGWEIR_TRACK_TOP;
bool		pgweir_track_utility = true;
bool		pgweir_track_planning = true;
int			pgweir_max_statements = 5000;
int			pgweir_query_size = 2048;
int			pgweir_flush_interval_ms = 5000;
int			pgweir_max_reporters = 8;
int			pgweir_max_pools = 64;
int			pgweir_history_pools = 4;
int			pgweir_report_expiry_s = 10;
int			pgweir_sample_interval_ms = 10;
int64		pgweir_deadline_us = 0;

int			pgweir_max_callers = 1000;
int			pgweir_history_memory_kb = 8192;
bool		pgweir_save_statistics = true;
int			pgweir_sample_memory_kb = 4096;
int			pgweir_max_plans = 1000;
int			pgweir_plan_size = 4096;
int			pgweir_slow_threshold_ms = 1000;
double		pgweir_slow_factor = 10;
double		pgweir_sample_rate = 0.01;
bool		pgweir_sample_parameters = true;
const PgweirTags *pgweir_tags = NULL;

static char *deadline_text = NULL;
static char *thresholds_text = NULL;
static char *tags_text = NULL;

static const struct config_enum_entry track_options[] = {
	{"none", PGWEIR_TRACK_NONE, false},
	{"top", PGWEIR_TRACK_TOP, false},
	{"all", PGWEIR_TRACK_ALL, false},
	{NULL, 0, false}
};

/* A century; what is longer is a slip, and keeps sums of instants and durations far from overflow. */
#define MAX_DURATION_US (36525.0 * 86400.0 * 1e6)

static bool
unit_in_us(const char *unit, int len, double *us)
{
	static const struct
	{
		const char *name;
		double		us;
	}			units[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 60e6}, {"", 1e6}};

	for (int i = 0; i < (int) lengthof(units); i++)
	{
		if ((int) strlen(units[i].name) == len && strncmp(unit, units[i].name, len) == 0)
		{
			*us = units[i].us;
			return true;
		}
	}
	return false;
}

bool
pgweir_parse_duration(const char *text, int len, int64 *us)
{
	double		number = 0;
	double		scale = 1;
	double		unit;
	int			digits = 0;
	int			i = 0;

	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	while (i < len && isspace((unsigned char) text[i]))
		i++;
	if (i == len)
	{
		*us = 0;
		return true;
	}
	for (; i < len && isdigit((unsigned char) text[i]); i++, digits++)
		number = number * 10 + (text[i] - '0');
	if (i < len && text[i] == '.')
	{
		for (i++; i < len && isdigit((unsigned char) text[i]); i++, digits++)
			number += (text[i] - '0') * (scale /= 10);
	}
	if (digits == 0)
		return false;
	while (i < len && isspace((unsigned char) text[i]))
		i++;
	if (!unit_in_us(text + i, len - i, &unit) || number * unit > MAX_DURATION_US)
		return false;
	/* What is not zero stays so: a deadline of 0.1 us is due at once, not absent. */
	*us = (int64) ceil(number * unit - 1e-6);
	return true;
}

/* Whether text[at] stands inside a comment, judged by the nearest comment mark before it. */
static bool
inside_comment(const char *text, int at)
{
	for (int i = at - 2; i >= 0; i--)
	{
		if (text[i] == '/' && text[i + 1] == '*')
			return true;
		if (text[i] == '*' && text[i + 1] == '/')
			return false;
	}
	return false;
}

bool
pgweir_comment_deadline(const char *text, int len, int64 *us)
{
	static const char tag[] = "pgweir_deadline='";
	const int	tag_len = sizeof(tag) - 1;
	const char *at = text;

	while ((at = memmem(at, len - (at - text), tag, tag_len)) != NULL)
	{
		const char *value = at + tag_len;
		const char *quote = memchr(value, '\'', len - (value - text));

		if (quote != NULL && inside_comment(text, at - text) && pgweir_parse_duration(value, quote - value, us))
			return true;
		at = value;
	}
	return false;
}

static bool
check_deadline(char **newval, void **extra, GucSource source)
{
	int64		us;
	int64	   *parsed;

	if (!pgweir_parse_duration(*newval, strlen(*newval), &us))
	{
		GUC_check_errdetail("\"%s\" is not a duration.", *newval);
		GUC_check_errhint("Write a number and a unit (us, ms, s, min), such as '250ms'; a plain number is seconds, "
						  "'0' or '' means no deadline.");
		return false;
	}
	parsed = guc_malloc(LOG, sizeof(*parsed));
	if (parsed == NULL)
		return false;
	*parsed = us;
	*extra = parsed;
	return true;
}

static void
assign_deadline(const char *newval, void *extra)
{
	pgweir_deadline_us = *(int64 *) extra;
}

/* The columns of pgweir.thresholds(), which has their defaults and says what they mean. */
static const char *const threshold_names[] = {
	"slots_tight", "slots_exhausted", "wait_ms", "slow_ms", "slow_growth", "slow_share", "slow_running_s",
	"load", "lock_share", "idle_in_transaction_s", "held_s", "held_share", "think_share", "think_ms",
	"think_growth", "cpu_short", "connects_per_s", "drain_share", "rtt_ms", "rtt_growth", "retrans_min", "retrans_share",
	"lost_share", "errors_min", "error_share", "error_growth", "deploy_s", "repeat_share", "repeat_units", "gone_min",
	"gone_peak_share", "gone_s", "silence_s", "silence_rate"
};

static bool
is_threshold(const char *name, size_t len)
{
	for (int i = 0; i < (int) lengthof(threshold_names); i++)
	{
		if (strlen(threshold_names[i]) == len && strncmp(threshold_names[i], name, len) == 0)
			return true;
	}
	return false;
}

static void
refuse_threshold(const char *name, size_t len)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(threshold_names); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", threshold_names[i]);
	GUC_check_errdetail("There is no threshold \"%.*s\".", (int) len, name);
	GUC_check_errhint("There are: %s.", names.data);
	pfree(names.data);
}

/* Pairs like wait_ms=100, with commas between. */
static bool
check_thresholds(char **newval, void **extra, GucSource source)
{
	const char *at = *newval;

	at += strspn(at, " ");
	while (*at != '\0')
	{
		size_t		name = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
		char	   *end;

		if (name == 0 || at[name] != '=')
			break;
		if (!is_threshold(at, name))
		{
			refuse_threshold(at, name);
			return false;
		}
		(void) strtod(at + name + 1, &end);
		if (end == at + name + 1)
			break;
		at = end + strspn(end, " ");
		if (*at == ',')
			at += 1 + strspn(at + 1, " ");
		else if (*at != '\0')
			break;
	}
	if (*at == '\0')
		return true;
	GUC_check_errdetail("What is wrong begins at \"%s\".", at);
	GUC_check_errhint("Write names of columns of pgweir.thresholds() with numbers, such as 'wait_ms=100, rtt_ms=80'.");
	return false;
}

/* A list of words separated by commas and blanks. */
static bool
check_tags(char **newval, void **extra, GucSource source)
{
	PgweirTags	tags = {0};
	PgweirTags *parsed;

	for (const char *at = *newval + strspn(*newval, ", "); *at != '\0'; at += strspn(at, ", "))
	{
		int			len = strcspn(at, ", ");

		if (len >= PGWEIR_TAG_LEN || tags.n == PGWEIR_MAX_TAGS)
		{
			GUC_check_errdetail("A list of at most %d names of up to %d bytes is taken.", PGWEIR_MAX_TAGS, PGWEIR_TAG_LEN - 1);
			return false;
		}
		memcpy(tags.name[tags.n++], at, len);
		at += len;
	}
	parsed = guc_malloc(LOG, sizeof(*parsed));
	if (parsed == NULL)
		return false;
	*parsed = tags;
	*extra = parsed;
	return true;
}

static void
assign_tags(const char *newval, void *extra)
{
	pgweir_tags = extra;
}

static void
define_session_settings(void)
{
	DefineCustomStringVariable("pgweir.deadline",
							   "Time each statement may take, its wait for a server connection included.",
							   "Reported to the pooler, which enforces it. Units are us, ms, s and min; a plain number "
							   "is seconds; '0' or '' is none.",
							   &deadline_text, "", PGC_USERSET, GUC_REPORT,
							   check_deadline, assign_deadline, NULL);
	DefineCustomStringVariable("pgweir.thresholds",
							   "What pool_pressure and diagnosis hold to be too much, where it differs from the default.",
							   "Pairs with commas between, such as 'wait_ms=100, rtt_ms=80'; SELECT * FROM pgweir.thresholds() "
							   "lists all.",
							   &thresholds_text, "", PGC_USERSET, 0, check_thresholds, NULL, NULL);
	DefineCustomEnumVariable("pgweir.track",
							 "Which statements are counted: none, top (sent by clients) or all (inside functions too).",
							 NULL, &pgweir_track, PGWEIR_TRACK_TOP, track_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgweir.track_utility",
							 "Whether commands other than SELECT, INSERT, UPDATE, DELETE and MERGE are counted.",
							 NULL, &pgweir_track_utility, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgweir.track_planning",
							 "Whether the time of planning is measured.",
							 NULL, &pgweir_track_planning, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgweir.tags",
							   "Keys in the comments of statements by which a statement class is split by caller.",
							   "Read in the spellings key='value' and key:value; '' is none.",
							   &tags_text, "application,controller,action,route,job", PGC_SUSET, 0,
							   check_tags, assign_tags, NULL);
	DefineCustomIntVariable("pgweir.slow_threshold",
							"An execution that takes this long is kept in slow_samples; -1 is never.",
							NULL, &pgweir_slow_threshold_ms, 1000, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomRealVariable("pgweir.slow_factor",
							 "An execution that takes this many times the 99th percentile of its class is kept in slow_samples; 0 is never.",
							 "Only of classes with at least a hundred executions, and only what takes ten milliseconds.",
							 &pgweir_slow_factor, 10, 0, 1e6, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("pgweir.sample_rate",
							 "Fraction of executions that count the rows of each node of their plan.",
							 "One that turns out to be slow shows them in slow_samples; so does the one that follows a slow one.",
							 &pgweir_sample_rate, 0.01, 0, 1, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgweir.sample_parameters",
							 "Whether slow_samples keeps what may hold data: parameters, the text as it was sent, the plan.",
							 NULL, &pgweir_sample_parameters, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.flush_interval",
							"Longest time a backend keeps its counts to itself before they are merged.",
							"The views add unmerged counts up; this matters to the history of the last hour only.",
							&pgweir_flush_interval_ms, 5000, 0, 3600000, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.report_expiry",
							"Time after which the report of a silent sidecar is no longer shown.",
							NULL, &pgweir_report_expiry_s, 10, 1, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.sample_interval",
							"Time between two looks at what all backends wait for.",
							"It grows by itself while looking costs more than a hundredth of a core.",
							&pgweir_sample_interval_ms, 10, 1, 1000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

static void
define_memory_settings(void)
{
	DefineCustomIntVariable("pgweir.max_statements",
							"Number of statement classes kept.",
							NULL, &pgweir_max_statements, 5000, 100, 1000000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.query_size",
							"Bytes kept of each statement's text.",
							NULL, &pgweir_query_size, 2048, 128, 1048576, PGC_POSTMASTER, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgweir.save",
							 "Whether statement statistics are saved at shutdown and loaded at start.",
							 NULL, &pgweir_save_statistics, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.max_callers",
							"Number of callers kept that comments of statements name; 0 keeps none.",
							NULL, &pgweir_max_callers, 1000, 0, 100000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.history_memory",
							"Memory for what each statement class did, in steps of ten seconds.",
							"The oldest steps go when it is full; pgweir.info() tells how far back it reaches.",
							&pgweir_history_memory_kb, 8192, 256, 1048576, PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.sample_memory",
							"Memory for single executions that were slow or failed by a timeout; 0 keeps none.",
							NULL, &pgweir_sample_memory_kb, 4096, 0, 1048576, PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.max_plans",
							"Number of plans of statement classes kept; 0 keeps none.",
							NULL, &pgweir_max_plans, 1000, 0, 100000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.plan_size",
							"Bytes kept of each plan's text.",
							NULL, &pgweir_plan_size, 4096, 256, 1048576, PGC_POSTMASTER, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.max_reporters",
							"Number of sidecars that may report.",
							NULL, &pgweir_max_reporters, 8, 1, 1000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.max_pools",
							"Number of pools, of all sidecars together, that are kept.",
							NULL, &pgweir_max_pools, 64, 1, 1000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgweir.history_pools",
							"Number of pools whose pressure is kept each by itself, by seconds for an hour and by minutes for a week.",
							"The busiest are kept. Each takes 1.9 MB of shared memory, as do the server as a whole and all pools together, which are always kept.",
							&pgweir_history_pools, 4, 0, 100, PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

void
pgweir_guc_init(void)
{
	define_session_settings();
	if (process_shared_preload_libraries_in_progress)
		define_memory_settings();
}
