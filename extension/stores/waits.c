/*
 * waits.c: sets of wait events, and the one of the server as a whole.
 */
#include "postgres.h"

#include "compat.h"
#include "stores/waits.h"

typedef struct Shared
{
	PgweirSamplerState sampler;
	PgweirWait	server[PGWEIR_SERVER_WAITS];
} Shared;

static Shared *shared = NULL;

Size
pgweir_waits_size(void)
{
	return sizeof(Shared);
}

void
pgweir_waits_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	shared = memory;
	if (fresh)
		memset(shared, 0, sizeof(*shared));
}

/* The event's place: its own, else a free one, else the last, which is for all others. */
static PgweirWait *
place_of(PgweirWait *set, int n, uint32 event)
{
	for (int i = 0; i < n - 1; i++)
	{
		if (set[i].samples > 0 && set[i].event == event)
			return &set[i];
		if (set[i].samples == 0)
		{
			set[i].event = event;
			set[i].ns = 0;
			return &set[i];
		}
	}
	set[n - 1].event = PGWEIR_WAIT_OTHER;
	return &set[n - 1];
}

void
pgweir_waits_add(PgweirWait *set, int n, uint32 event, uint64 ns)
{
	PgweirWait *place = place_of(set, n, event);

	place->ns += ns;
	pg_write_barrier();
	place->samples++;
}

void
pgweir_waits_merge(PgweirWait *set, int n, const PgweirWait *wait)
{
	PgweirWait *place;

	if (wait->samples == 0)
		return;
	place = wait->event == PGWEIR_WAIT_OTHER ? &set[n - 1] : place_of(set, n, wait->event);
	place->event = wait->event == PGWEIR_WAIT_OTHER ? PGWEIR_WAIT_OTHER : place->event;
	place->ns += wait->ns;
	place->samples += wait->samples;
}

const char *
pgweir_wait_type_name(uint32 event)
{
	if (event == PGWEIR_WAIT_CPU)
		return "CPU";
	return event == PGWEIR_WAIT_OTHER ? "other" : pgstat_get_wait_event_type(event);
}

const char *
pgweir_wait_event_name(uint32 event)
{
	if (event == PGWEIR_WAIT_CPU)
		return "CPU";
	return event == PGWEIR_WAIT_OTHER ? "other" : pgstat_get_wait_event(event);
}

void
pgweir_server_waits_add(uint32 event, uint64 ns)
{
	pgweir_waits_add(shared->server, PGWEIR_SERVER_WAITS, event, ns);
}

void
pgweir_server_waits_read(PgweirWait *set)
{
	memcpy(set, shared->server, sizeof(shared->server));
}

void
pgweir_server_waits_reset(void)
{
	memset(shared->server, 0, sizeof(shared->server));
}

PgweirSamplerState *
pgweir_sampler_state(void)
{
	return &shared->sampler;
}
