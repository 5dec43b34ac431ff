/*
 * recent.h: sums over the last minute or so: a ring of short windows that readers add up.
 */
#ifndef PGWEIR_STORES_RECENT_H
#define PGWEIR_STORES_RECENT_H

#include "datatype/timestamp.h"

#define PGWEIR_WINDOW_S 5		/* length of a window */
#define PGWEIR_WINDOWS 14
#define PGWEIR_RECENT_S 60		/* what "recent" means to readers */
#define PGWEIR_RECENT_SUMS 5

typedef struct PgweirRecentWindow
{
	int64		epoch;
	uint64		sum[PGWEIR_RECENT_SUMS];
	uint64		most;
} PgweirRecentWindow;

/* Zeroed = nothing. */
typedef struct PgweirRecent
{
	PgweirRecentWindow window[PGWEIR_WINDOWS];
} PgweirRecent;

/* The number of the window that an instant falls into. */
static inline int64
pgweir_recent_epoch(TimestampTz now)
{
	return now / USECS_PER_SEC / PGWEIR_WINDOW_S;
}

/* Does a window with this number count as recent? */
static inline bool
pgweir_is_recent(int64 epoch, TimestampTz now)
{
	return epoch > pgweir_recent_epoch(now) - PGWEIR_RECENT_S / PGWEIR_WINDOW_S;
}

static inline void
pgweir_recent_add(PgweirRecent *recent, TimestampTz now, const uint64 *values, int n, uint64 most)
{
	int64		epoch = pgweir_recent_epoch(now);
	PgweirRecentWindow *window = &recent->window[epoch % PGWEIR_WINDOWS];

	if (window->epoch != epoch)
		*window = (PgweirRecentWindow) {.epoch = epoch};
	for (int i = 0; i < n; i++)
		window->sum[i] += values[i];
	window->most = Max(window->most, most);
}

static inline PgweirRecentWindow
pgweir_recent_read(const PgweirRecent *recent, TimestampTz now)
{
	PgweirRecentWindow sums = {0};

	for (int w = 0; w < PGWEIR_WINDOWS; w++)
	{
		const PgweirRecentWindow *window = &recent->window[w];

		if (!pgweir_is_recent(window->epoch, now))
			continue;
		for (int i = 0; i < PGWEIR_RECENT_SUMS; i++)
			sums.sum[i] += window->sum[i];
		sums.most = Max(sums.most, window->most);
	}
	return sums;
}

#endif
