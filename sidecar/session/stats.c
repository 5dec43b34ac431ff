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

void
stats_add(SessionStats *to, const SessionStats *from)
{
	to->xacts += from->xacts;
	to->queries += from->queries;
	to->received_bytes += from->received_bytes;
	to->sent_bytes += from->sent_bytes;
	to->xact_us += from->xact_us;
	to->query_us += from->query_us;
	to->client_parses += from->client_parses;
	to->server_parses += from->server_parses;
	to->binds += from->binds;
	to->logins += from->logins;
	to->disconnects += from->disconnects;
	to->gone_waiting += from->gone_waiting;
	to->gone_running += from->gone_running;
}
