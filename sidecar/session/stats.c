/*
 * stats.c: counting by SQLSTATE in a table of fixed size.
 */
#include "session/stats.h"

#include <string.h>

void
stats_count_error(SessionStats *stats, const char code[5])
{
	for (int i = 0; i < STATS_ERROR_CODES - 1; i++)
	{
		ErrorCount *entry = &stats->errors[i];

		if (entry->count == 0)
			memcpy(entry->code, code, 5);
		else if (memcmp(entry->code, code, 5) != 0)
			continue;
		entry->count++;
		return;
	}
	memcpy(stats->errors[STATS_ERROR_CODES - 1].code, "other", 5);
	stats->errors[STATS_ERROR_CODES - 1].count++;
}
