/*
 * stats.c: counting by SQLSTATE in a table of fixed size; adding up.
 */
#include "session/stats.h"

#include <stdlib.h>
#include <string.h>

void
stats_free(SessionStats *stats)
{
	sparse_histogram_free(&stats->run_hist);
	sparse_histogram_free(&stats->gone_hist);
	sparse_histogram_free(&stats->deadline_hist);
	sparse_histogram_free(&stats->think_hist);
	sparse_histogram_free(&stats->life_hist);
	sparse_histogram_free(&stats->requests_hist);
	free(stats->errors);
	free(stats->repeats);
	stats->errors = NULL;
	stats->repeats = NULL;
}

static bool
has_errors(SessionStats *stats)
{
	if (stats->errors == NULL)
		stats->errors = calloc(STATS_ERROR_CODES, sizeof(ErrorCount));
	return stats->errors != NULL;
}

RepeatCount *
stats_repeats(SessionStats *stats)
{
	if (stats->repeats == NULL)
		stats->repeats = calloc(STATS_REPEATS, sizeof(RepeatCount));
	return stats->repeats;
}

void
stats_count_error(SessionStats *stats, const char code[5])
{
	if (!has_errors(stats))
		return;
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

static void
add_errors(SessionStats *to, const ErrorCount *from)
{
	for (int i = 0; i < STATS_ERROR_CODES && from[i].count > 0 && has_errors(to); i++)
	{
		int at = 0;

		while (at < STATS_ERROR_CODES - 1 && to->errors[at].count > 0 && memcmp(to->errors[at].code, from[i].code, 5) != 0)
			at++;
		memcpy(to->errors[at].code, at < STATS_ERROR_CODES - 1 ? from[i].code : "other", 5);
		to->errors[at].count += from[i].count;
	}
}

/* What finds no place is left out; it is in the sums. */
static void
add_repeat(SessionStats *to, const RepeatCount *from)
{
	for (int i = 0; i < STATS_REPEATS && stats_repeats(to) != NULL; i++)
	{
		RepeatCount *place = &to->repeats[i];

		if (place->fingerprint == 0)
			*place = (RepeatCount){.fingerprint = from->fingerprint, .in_xact = from->in_xact, .first_at = from->first_at};
		else if (place->fingerprint != from->fingerprint || place->in_xact != from->in_xact)
			continue;
		memcpy(place->text, from->text, sizeof(place->text));
		place->units += from->units;
		place->statements += from->statements;
		if (from->most > place->most)
			place->most = from->most;
		if (from->first_at < place->first_at)
			place->first_at = from->first_at;
		if (from->last_at > place->last_at)
			place->last_at = from->last_at;
		return;
	}
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
	to->expired_running += from->expired_running;
	to->expired_grace += from->expired_grace;
	to->gone_waiting += from->gone_waiting;
	to->gone_running += from->gone_running;
	to->think_us += from->think_us;
	to->think_count += from->think_count;
	to->drain_us += from->drain_us;
	to->gone_us += from->gone_us;
	to->deadline_us += from->deadline_us;
	to->life_us += from->life_us;
	to->logins_refused += from->logins_refused;
	to->repeat_units += from->repeat_units;
	to->repeat_statements += from->repeat_statements;
	sparse_histogram_merge(&to->think_hist, &from->think_hist);
	sparse_histogram_merge(&to->life_hist, &from->life_hist);
	sparse_histogram_merge(&to->requests_hist, &from->requests_hist);
	for (int i = 0; from->repeats != NULL && i < STATS_REPEATS; i++)
		if (from->repeats[i].fingerprint != 0)
			add_repeat(to, &from->repeats[i]);
	sparse_histogram_merge(&to->run_hist, &from->run_hist);
	sparse_histogram_merge(&to->gone_hist, &from->gone_hist);
	sparse_histogram_merge(&to->deadline_hist, &from->deadline_hist);
	if (from->errors != NULL)
		add_errors(to, from->errors);
}
