/*
 * spread.c: joining, stepping back, and evening out.
 *
 * All thresholds are shares of a processor that a thread really had: one that waits for its processor because others use it would gain
 * nothing by a second.
 */
#include "pool/spread.h"

/* So busy a home is relieved after so many windows, and sooner if it does nothing else. */
#define HOT 700
#define HOT_WINDOWS 3
#define SURGE 900
#define SURGE_WINDOWS 2
/* ... by another one rather than by one that is active and less busy than this. */
#define HAS_ROOM 500
/* What fewer are to carry, each, so that they are not hot again soon, and for how long it must have been so. */
#define CALM 450
#define CALM_US (3 * USEC_PER_SEC)
/* Clients go from one that is so busy to one that is less so by this. */
#define UNEVEN_BUSY 500
#define UNEVEN 250
/* What was heard longer ago than this is over. */
#define HEARD_US (4 * SPREAD_WINDOW_US)
/* After clients have gone it takes a while until it is seen what that was good for. */
#define SETTLE_US (4 * SPREAD_WINDOW_US)
/* Differences in business that do not matter to a new client. */
#define STEP 200

static int
first_active(SpreadMode mode, int homes)
{
	return mode == SPREAD_AUTO ? 1 : homes;
}

void
spread_init(Spread *spread, SpreadMode mode, int homes)
{
	*spread = (Spread){.mode = mode, .homes = homes, .active = first_active(mode, homes)};
}

void
spread_set_mode(Spread *spread, SpreadMode mode)
{
	if (mode == spread->mode)
		return;
	spread->mode = mode;
	spread->calm_since = 0;
	/* those that are too many step back one by one */
	spread->active = spread->homes;
}

static bool
is_heard(const Spread *spread, int home, usec_t now)
{
	return spread->home[home].heard_at > 0 && now - spread->home[home].heard_at <= HEARD_US;
}

int
spread_busy(const Spread *spread, int home, usec_t now)
{
	return is_heard(spread, home, now) ? spread->home[home].mean : 0;
}

static int
least_busy(const Spread *spread, usec_t now)
{
	int best = 0;

	for (int i = 1; i < spread->active; i++)
		if (spread_busy(spread, i, now) < spread_busy(spread, best, now))
			best = i;
	return best;
}

static void
note(Spread *spread, int index, int busy, usec_t now)
{
	SpreadHome *home = &spread->home[index];

	home->mean = is_heard(spread, index, now) ? (home->mean * 3 + busy) / 4 : busy;
	home->busy = busy;
	home->heard_at = now;
	home->hot = busy >= HOT ? home->hot + 1 : 0;
}

/* --- how many --- */

static void
change_active(Spread *spread, int active)
{
	spread->active = active;
	spread->calm_since = 0;
	for (int i = 0; i < spread->homes; i++)
		spread->home[i].hot = 0;
}

static void
consider_joining(Spread *spread, int index, usec_t now)
{
	SpreadHome *home = &spread->home[index];

	if (index >= spread->active || spread->active == spread->homes ||
		home->hot < (home->busy >= SURGE ? SURGE_WINDOWS : HOT_WINDOWS))
		return;
	home->mean = home->busy;
	if (spread_busy(spread, least_busy(spread, now), now) >= HAS_ROOM)
		change_active(spread, spread->active + 1);
}

static void
consider_stepping_back(Spread *spread, usec_t now)
{
	int sum = 0;

	for (int i = 0; i < spread->homes; i++)
		sum += spread_busy(spread, i, now);
	if (spread->active == 1 || sum > CALM * (spread->active - 1))
		spread->calm_since = 0;
	else if (spread->calm_since == 0)
		spread->calm_since = now;
	else if (now - spread->calm_since >= CALM_US)
		change_active(spread, spread->active - 1);
}

/* --- who goes --- */

/* Half of the difference. */
static SpreadAdvice
even_out(Spread *spread, int index, int clients, usec_t now)
{
	SpreadHome *home = &spread->home[index];
	int to = least_busy(spread, now);
	int uneven = home->mean - spread_busy(spread, to, now);
	int leave;

	if (home->mean < UNEVEN_BUSY || uneven < UNEVEN || clients < 2 || now < home->settles_at)
		return (SpreadAdvice){0, index};
	home->settles_at = now + SETTLE_US;
	leave = (int) ((int64_t) clients * uneven / 2 / home->mean);
	return (SpreadAdvice){leave > 0 ? leave : 1, to};
}

SpreadAdvice
spread_tell(Spread *spread, int home, int busy, int clients, usec_t now)
{
	note(spread, home, busy, now);
	switch (spread->mode)
	{
		case SPREAD_EVEN: return (SpreadAdvice){0, home};
		case SPREAD_ROAM: return (SpreadAdvice){spread->homes > 1 ? SPREAD_ALL : 0, (home + 1) % spread->homes};
		case SPREAD_AUTO: break;
	}
	consider_joining(spread, home, now);
	consider_stepping_back(spread, now);
	if (home >= spread->active)
		return (SpreadAdvice){SPREAD_ALL, least_busy(spread, now)};
	return even_out(spread, home, clients, now);
}

/* --- new clients --- */

int
spread_choose(const Spread *spread, const int *load, int turn, usec_t now)
{
	int best = -1;

	for (int i = 0; i < spread->active; i++)
	{
		int home = (turn + i) % spread->active;
		int more_busy = best < 0 || spread->mode != SPREAD_AUTO ? 0 : spread_busy(spread, home, now) / STEP - spread_busy(spread, best, now) / STEP;

		if (best < 0 || more_busy < 0 || (more_busy == 0 && load[home] < load[best]))
			best = home;
	}
	return best;
}
