/*
 * repeats.c: counting them.  A statement that does not repeat costs a look at a few numbers; text is copied once a class.
 */
#include "session/repeats.h"

#include <string.h>

#include "wire/sqlscan.h"

/* The largest unit is shown for so long, unless there is a larger one. */
#define MOST_US (10 * USEC_PER_SEC)

static RepeatCount *
find(SessionStats *stats, uint64_t fingerprint, bool in_xact)
{
	for (int i = 0; stats->repeats != NULL && i < STATS_REPEATS; i++)
		if (stats->repeats[i].fingerprint == fingerprint && stats->repeats[i].in_xact == in_xact)
			return &stats->repeats[i];
	return NULL;
}

/* A class is about to be counted: give it a place, at the cost of the one not seen for longest. */
static void
enter(SessionStats *stats, uint64_t fingerprint, bool in_xact, Slice sql, usec_t now)
{
	RepeatCount *place = find(stats, fingerprint, in_xact);

	if (place != NULL || (place = stats_repeats(stats)) == NULL)
		return;
	for (int i = 1; i < STATS_REPEATS && place->fingerprint != 0; i++)
		if (stats->repeats[i].fingerprint == 0 || stats->repeats[i].last_at < place->last_at)
			place = &stats->repeats[i];
	*place = (RepeatCount){.fingerprint = fingerprint, .in_xact = in_xact, .first_at = now, .last_at = now};
	sql_mask(sql, place->text, sizeof(place->text));
}

static void
count(SessionStats *stats, uint64_t fingerprint, bool in_xact, uint32_t statements, usec_t now)
{
	RepeatCount *place = find(stats, fingerprint, in_xact);

	stats->repeat_units++;
	stats->repeat_statements += statements;
	if (place == NULL)
		return;
	place->units++;
	place->statements += statements;
	place->last_at = now;
	if (statements >= place->most || now - place->most_at > MOST_US)
	{
		place->most = statements;
		place->most_at = now;
	}
}

/* --- transactions --- */

/* The place of a class; a new one takes that of the class with the fewest statements. */
static int
tally_place(RepeatTally *tally, uint64_t fingerprint)
{
	int fewest = 0;

	for (int i = 0; i < REPEATS_TRACKED; i++)
	{
		if (tally->fingerprint[i] == fingerprint)
			return i;
		if (tally->count[i] < tally->count[fewest])
			fewest = i;
	}
	if (tally->count[fewest] >= REPEATS_MIN)
		return -1;
	tally->fingerprint[fewest] = fingerprint;
	tally->count[fewest] = 0;
	return fewest;
}

void
repeats_note(RepeatTally *tally, SessionStats *stats, uint64_t fingerprint, Slice sql, usec_t now)
{
	int place = fingerprint != 0 ? tally_place(tally, fingerprint) : -1;

	if (place < 0 || ++tally->count[place] != REPEATS_MIN)
		return;
	tally->any = true;
	enter(stats, fingerprint, true, sql, now);
}

void
repeats_end(RepeatTally *tally, SessionStats *stats, usec_t now)
{
	for (int i = 0; tally->any && i < REPEATS_TRACKED; i++)
		if (tally->count[i] >= REPEATS_MIN)
			count(stats, tally->fingerprint[i], true, tally->count[i], now);
	*tally = (RepeatTally){.any = false};
}

/* --- runs --- */

void
repeats_end_run(uint32_t *length, SessionStats *stats, uint64_t before, usec_t now)
{
	if (*length >= REPEATS_MIN)
		count(stats, before, false, *length, now);
	*length = 0;
}

void
repeats_note_run(uint32_t *length, SessionStats *stats, uint64_t before, uint64_t fingerprint, Slice sql, usec_t pause_us,
				 usec_t now)
{
	if (fingerprint == 0 || fingerprint != before || pause_us > REPEATS_PAUSE_US || *length >= REPEATS_RUN_MAX)
		repeats_end_run(length, stats, before, now);
	if (++*length == REPEATS_MIN)
		enter(stats, fingerprint, false, sql, now);
}
