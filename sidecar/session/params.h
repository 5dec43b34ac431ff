/*
 * params.h: session parameters that PostgreSQL reports and the pooler must carry from server to server.
 *
 * A ParamSet is an immutable, counted, interned vector of values: clients and servers with equal parameters share one object, so
 * "does this server fit this client" is a pointer comparison and ten thousand idle clients cost one vector.
 *
 * The registry is shared by all workers: its lock is taken to make a set and to give one back; a further reference is atomic.
 */
#ifndef PGWEIR_SESSION_PARAMS_H
#define PGWEIR_SESSION_PARAMS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#define PARAM_MAX 32			/* tracked names, the built-in ones included */
#define PARAM_VALUE_MAX 1024	/* longer values are not tracked */
#define PARAM_DEADLINE "pgweir.deadline"

typedef struct ParamSet
{
	MapNode node;
	atomic_uint refs;
	uint32_t size;			 /* bytes of the text */
	uint16_t offset[PARAM_MAX]; /* of each value in text + 1; 0 = not known */
	char text[];			 /* values, each ends in NUL */
} ParamSet;

typedef struct ParamRegistry
{
	char *names[PARAM_MAX]; /* owned; index = tracked parameter */
	int count;
	int deadline_index;
	int app_index; /* application_name */
	uint64_t seed;
	pthread_mutex_t lock; /* of sets */
	Map sets;
	const ParamSet *empty;
} ParamRegistry;

/* extra: comma-separated further names (track_extra_parameters). */
extern bool params_init(ParamRegistry *registry, const char *extra, uint64_t seed) MUST_CHECK;
extern void params_free(ParamRegistry *registry);
/* Index of a tracked name (case-insensitive), or -1. */
extern int params_index(const ParamRegistry *registry, Slice name);
extern const ParamSet *paramset_ref(const ParamSet *set);
extern void paramset_unref(ParamRegistry *registry, const ParamSet *set);
/* NULL when the value is not known. */
static inline const char *
paramset_get(const ParamSet *set, int index)
{
	return set->offset[index] ? set->text + set->offset[index] - 1 : NULL;
}
/* Replace *set by the one that differs in one value; on lack of memory *set stays as it is. */
extern void paramset_change(ParamRegistry *registry, const ParamSet **set, int index, Slice value);
/* Every value of `over` that is known, on top of `base`: a counted reference. */
extern const ParamSet *paramset_overlay(ParamRegistry *registry, const ParamSet *base, const ParamSet *over);
/* Append the SETs that take a server from `have` to `want`; only parameters the server has reported.  Returns how many. */
extern int params_sync_sql(const ParamRegistry *registry, const ParamSet *have, const ParamSet *want, Buf *sql);

#endif
