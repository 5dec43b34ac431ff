/*
 * settings.c: the advisor's settings, and its entry point.
 */
#include "postgres.h"

#include "advisor/settings.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "advisor/schedule.h"
#include "advisor/whatif.h"

int			pgweir_advisor_max_indexes = 10;
int			pgweir_advisor_budget_mb = -1;
int			pgweir_advisor_time_limit_ms = 5000;
int			pgweir_advisor_max_statements = 200;
int			pgweir_advisor_min_table_pages = 128;
double		pgweir_advisor_min_gain = 10.0;
double		pgweir_advisor_min_saving_ms = 1.0;
int			pgweir_advisor_min_saved_per_hour_ms = 60000;
int			pgweir_advisor_lock_timeout_ms = 100;
int			pgweir_advisor_extra_search_ms = 0;
int			pgweir_advisor_interval_s = 0;
int			pgweir_advisor_max_memory_kb = 262144;
int			pgweir_advisor_min_brin_pages = 131072;
int			pgweir_advisor_max_age_s = 900;
int			pgweir_advisor_unused_days = 7;
bool		pgweir_advisor_hypopg_compatible = false;

typedef struct IntSetting
{
	const char *name;
	const char *help;
	int		   *variable;
	int			value;
	int			min;
	int			max;
	int			flags;
} IntSetting;

static const IntSetting int_settings[] = {
	{"pgweir.advisor_max_indexes", "Indexes the advisor suggests at most.", &pgweir_advisor_max_indexes, 10, 0, 100,
	 0},
	{"pgweir.advisor_budget", "Space the suggested indexes may take together; -1 is a quarter of the database's size.",
	 &pgweir_advisor_budget_mb, -1, -1, INT_MAX, GUC_UNIT_MB},
	{"pgweir.advisor_time_limit", "Time after which the advisor stops searching and suggests what it has found; 0 is none.",
	 &pgweir_advisor_time_limit_ms, 5000, 0, INT_MAX, GUC_UNIT_MS},
	{"pgweir.advisor_max_statements", "Statement classes the advisor looks at, those with the most time first.",
	 &pgweir_advisor_max_statements, 200, 1, 100000, 0},
	{"pgweir.advisor_min_table_pages", "Tables smaller than this are not given indexes.",
	 &pgweir_advisor_min_table_pages, 128, 0, INT_MAX, GUC_UNIT_BLOCKS},
	{"pgweir.advisor_lock_timeout", "Time the advisor waits for a table that is locked before it skips the statement.",
	 &pgweir_advisor_lock_timeout_ms, 100, 1, INT_MAX, GUC_UNIT_MS},
	{"pgweir.advisor_min_brin_table", "Tables smaller than this are not given BRIN indexes.",
	 &pgweir_advisor_min_brin_pages, 131072, 0, INT_MAX, GUC_UNIT_BLOCKS},
	{"pgweir.advisor_extra_search", "Time for trying changes at random after the search by rules; 0 is none.",
	 &pgweir_advisor_extra_search_ms, 0, 0, INT_MAX, GUC_UNIT_MS},
	{"pgweir.advisor_max_memory", "Memory at which the advisor stops searching and suggests what it has found.",
	 &pgweir_advisor_max_memory_kb, 262144, 1024, MAX_KILOBYTES, GUC_UNIT_KB},
	{"pgweir.advisor_max_age", "Age up to which index_suggestions shows stored advice, if nothing has changed; 0 is none.",
	 &pgweir_advisor_max_age_s, 900, 0, INT_MAX, GUC_UNIT_S},
	{"pgweir.advisor_min_saved_per_hour",
	 "Time an index must save in an hour if it shortens no statement by pgweir.advisor_min_saving.",
	 &pgweir_advisor_min_saved_per_hour_ms, 60000, 0, INT_MAX, GUC_UNIT_MS},
	{"pgweir.advisor_unused_days", "Days without a scan after which an index counts as unused.",
	 &pgweir_advisor_unused_days, 7, 0, 3650, 0},
};

void
pgweir_advisor_init(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(int_settings); i++)
	{
		const IntSetting *setting = &int_settings[i];

		DefineCustomIntVariable(setting->name, setting->help, NULL, setting->variable, setting->value, setting->min,
								setting->max, PGC_USERSET, setting->flags, NULL, NULL, NULL);
	}
	DefineCustomIntVariable("pgweir.advisor_interval",
							"Time between runs of the advisor in the background; 0 is never.",
							"To switch it on the server must be restarted; afterwards a reload changes it.",
							&pgweir_advisor_interval_s, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomRealVariable("pgweir.advisor_min_gain",
							 "Share of a statement's cost that an index must save to count for it, in per cent.", NULL,
							 &pgweir_advisor_min_gain, 10.0, 0.0, 100.0, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("pgweir.advisor_min_saving",
							 "Time by which an index must shorten the execution of some statement to be suggested whatever it saves in all.",
							 NULL, &pgweir_advisor_min_saving_ms, 1.0, 0.0, 1e9, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgweir.advisor_hypopg_compatible",
							 "Makes hypothetical indexes as large and as flat as HypoPG 1.3.1 does.",
							 "For comparison only: the advisor's own model is closer to real indexes.",
							 &pgweir_advisor_hypopg_compatible, false, PGC_USERSET, 0, NULL, NULL, NULL);
	pgweir_whatif_init();
	if (process_shared_preload_libraries_in_progress)
		pgweir_schedule_init();
}
