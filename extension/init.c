/*
 * init.c: what happens when the server loads the library.
 *
 * Preloaded, everything is set up.  Loaded later, by the first call of one of our functions, only the settings of the
 * session and the functions are there: shared memory and hooks must come with the server's start.
 */
#include "postgres.h"

#include "advisor/settings.h"
#include "capture/capture.h"
#include "compat.h"
#include "guc.h"
#include "sampler/sampler.h"
#include "stores/shared.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

void
pgweir_capture_init(void)
{
	EnableQueryId();
	pgweir_errors_init();
	pgweir_parse_init();
	pgweir_executor_init();
	pgweir_utility_init();
	pgweir_sample_init();
}

void
_PG_init(void)
{
	pgweir_guc_init();
	pgweir_advisor_init();
	if (process_shared_preload_libraries_in_progress)
	{
		pgweir_shared_init();
		pgweir_capture_init();
		pgweir_sampler_init();
	}
	MarkGUCPrefixReserved("pgweir");
}
