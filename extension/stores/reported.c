/*
 * reported.c: finding places and adding to them.
 */
#include "postgres.h"

#include "stores/reported.h"

StaticAssertDecl((int) PGWEIR_AC_NCOUNTERS <= PGWEIR_RECENT_SUMS, "an application's counters fit into the sums");

/* A place for something new: a free one, else that of the one not heard of for longest. */
#define OLDEST(places, n, oldest) \
	do { \
		(oldest) = &(places)[0]; \
		for (int i_ = 1; i_ < (n); i_++) \
		{ \
			if ((places)[i_].seen < (oldest)->seen) \
				(oldest) = &(places)[i_]; \
		} \
		memset((oldest), 0, sizeof(*(oldest))); \
	} while (0)

static PgweirPeerPlace *
peer_place(PgweirPeerPlace *places, const PgweirPeer *peer)
{
	PgweirPeerPlace *place;

	for (int i = 0; i < PGWEIR_MAX_PEERS; i++)
	{
		if (places[i].seen != 0 && places[i].last.is_server == peer->is_server &&
			strcmp(places[i].last.addr, peer->addr) == 0)
			return &places[i];
	}
	OLDEST(places, PGWEIR_MAX_PEERS, place);
	return place;
}

void
pgweir_reported_peer(PgweirPeerPlace *places, const PgweirPeer *peer, TimestampTz now)
{
	PgweirPeerPlace *place = peer_place(places, peer);
	uint64		sums[PGWEIR_PS_NSUMS] = {[PGWEIR_PS_RETRANS] = peer->retrans, [PGWEIR_PS_SEGMENTS] = peer->segments};

	place->seen = now;
	place->last = *peer;
	pgweir_recent_add(&place->recent, now, sums, PGWEIR_PS_NSUMS, Max(peer->rtt_us, peer->rtt_max_us));
}

static PgweirAppPlace *
app_place(PgweirAppPlace *places, const PgweirApp *app, TimestampTz now)
{
	PgweirAppPlace *place;

	for (int i = 0; i < PGWEIR_MAX_APPS; i++)
	{
		if (places[i].seen != 0 && strcmp(places[i].last.name, app->name) == 0 && strcmp(places[i].last.db, app->db) == 0)
			return &places[i];
	}
	OLDEST(places, PGWEIR_MAX_APPS, place);
	place->first = now - (TimestampTz) app->first_us;
	return place;
}

void
pgweir_reported_app(PgweirAppPlace *places, const PgweirApp *app, TimestampTz now)
{
	PgweirAppPlace *place = app_place(places, app, now);

	place->seen = now;
	place->last = *app;
	for (int i = 0; i < PGWEIR_AC_NCOUNTERS; i++)
		place->total[i] += app->counter[i];
	pgweir_recent_add(&place->recent, now, app->counter, PGWEIR_AC_NCOUNTERS, app->clients);
}

static PgweirRepeatPlace *
repeat_place(PgweirRepeatPlace *places, const PgweirRepeat *repeat, TimestampTz now)
{
	PgweirRepeatPlace *place;

	for (int i = 0; i < PGWEIR_MAX_REPEATS; i++)
	{
		if (places[i].seen != 0 && places[i].last.in_xact == repeat->in_xact &&
			strcmp(places[i].last.fingerprint, repeat->fingerprint) == 0)
			return &places[i];
	}
	OLDEST(places, PGWEIR_MAX_REPEATS, place);
	place->first = now - (TimestampTz) repeat->first_us;
	return place;
}

void
pgweir_reported_repeat(PgweirRepeatPlace *places, const PgweirRepeat *repeat, TimestampTz now)
{
	PgweirRepeatPlace *place = repeat_place(places, repeat, now);
	uint64		sums[PGWEIR_RS_NSUMS] = {[PGWEIR_RS_UNITS] = repeat->units, [PGWEIR_RS_STATEMENTS] = repeat->statements};

	place->seen = now;
	place->last = *repeat;
	pgweir_recent_add(&place->recent, now, sums, PGWEIR_RS_NSUMS, repeat->units > 0 ? repeat->most : 0);
}
