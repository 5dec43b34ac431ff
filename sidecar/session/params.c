/*
 * params.c: interned parameter vectors.
 */
#include "session/params.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What PostgreSQL reports and every client may set; more come from track_extra_parameters. */
static const char *const builtin_names[] = {"client_encoding", "DateStyle", "TimeZone",
											"standard_conforming_strings", "application_name", PARAM_DEADLINE};

static bool
set_equal(const MapNode *node, const void *key)
{
	const ParamSet *a = CONTAINER_OF(node, const ParamSet, node);
	const ParamSet *b = key;

	return a->size == b->size && memcmp(a->offset, b->offset, sizeof(a->offset)) == 0 &&
		   memcmp(a->text, b->text, a->size) == 0;
}

static bool
valid_name(Slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum(name.ptr[i]) && name.ptr[i] != '_' && name.ptr[i] != '.')
			return false;
	return name.len > 0;
}

static bool
add_name(ParamRegistry *registry, Slice name)
{
	if (registry->count == PARAM_MAX || !valid_name(name) || params_index(registry, name) >= 0)
		return true; /* nothing more to track */
	registry->names[registry->count] = strndup((const char *) name.ptr, name.len);
	if (registry->names[registry->count] == NULL)
		return false;
	registry->count++;
	return true;
}

/* The interned set with this content; takes the candidate over.  A counted reference, NULL never comes in. */
static const ParamSet *
intern(ParamRegistry *registry, ParamSet *candidate)
{
	uint64_t hash = hash_bytes(registry->seed, candidate->text, candidate->size) ^
					hash_bytes(registry->seed, candidate->offset, sizeof(candidate->offset));
	MapNode *found;
	const ParamSet *set = candidate;

	pthread_mutex_lock(&registry->lock);
	found = map_find(&registry->sets, hash, candidate);
	if (found != NULL)
		set = paramset_ref(CONTAINER_OF(found, ParamSet, node));
	else
	{
		atomic_init(&candidate->refs, 1);
		map_insert(&registry->sets, &candidate->node, hash);
	}
	pthread_mutex_unlock(&registry->lock);
	if (found != NULL)
		free(candidate);
	return set;
}

/* A set made of the given values (NULL = unknown); NULL when out of memory. */
static const ParamSet *
build(ParamRegistry *registry, const Slice values[PARAM_MAX])
{
	size_t size = 0;
	ParamSet *set;

	for (int i = 0; i < registry->count; i++)
		if (values[i].ptr != NULL)
			size += values[i].len + 1;
	if (size > UINT16_MAX - 1)
		return NULL;
	set = calloc(1, sizeof(ParamSet) + size);
	if (set == NULL)
		return NULL;
	for (int i = 0; i < registry->count; i++)
	{
		if (values[i].ptr == NULL)
			continue;
		set->offset[i] = (uint16_t) (set->size + 1);
		memcpy(set->text + set->size, values[i].ptr, values[i].len);
		set->size += (uint32_t) values[i].len + 1;
	}
	return intern(registry, set);
}

static void
unpack(const ParamRegistry *registry, const ParamSet *set, Slice values[PARAM_MAX])
{
	for (int i = 0; i < registry->count; i++)
	{
		const char *value = paramset_get(set, i);

		values[i] = value != NULL ? slice_str(value) : (Slice){NULL, 0};
	}
}

bool
params_init(ParamRegistry *registry, const char *extra, uint64_t seed)
{
	Slice none[PARAM_MAX] = {{0}};

	memset(registry, 0, sizeof(*registry));
	registry->seed = seed;
	pthread_mutex_init(&registry->lock, NULL);
	map_init(&registry->sets, set_equal);
	for (size_t i = 0; i < sizeof(builtin_names) / sizeof(builtin_names[0]); i++)
		if (!add_name(registry, slice_str(builtin_names[i])))
			return false;
	while (extra != NULL && *extra != '\0')
	{
		size_t len = strcspn(extra, ", \t");

		if (len > 0 && !add_name(registry, slice_make(extra, len)))
			return false;
		extra += len + (extra[len] != '\0');
	}
	registry->deadline_index = params_index(registry, slice_str(PARAM_DEADLINE));
	registry->app_index = params_index(registry, slice_str("application_name"));
	registry->empty = build(registry, none);
	return registry->empty != NULL;
}

void
params_free(ParamRegistry *registry)
{
	if (registry->empty != NULL)
		paramset_unref(registry, registry->empty);
	for (int i = 0; i < registry->count; i++)
		free(registry->names[i]);
	map_free(&registry->sets);
	pthread_mutex_destroy(&registry->lock);
	memset(registry, 0, sizeof(*registry));
}

int
params_index(const ParamRegistry *registry, Slice name)
{
	for (int i = 0; i < registry->count; i++)
		if (strlen(registry->names[i]) == name.len &&
			strncasecmp(registry->names[i], (const char *) name.ptr, name.len) == 0)
			return i;
	return -1;
}

const ParamSet *
paramset_ref(const ParamSet *set)
{
	atomic_fetch_add_explicit(&((ParamSet *) set)->refs, 1, memory_order_relaxed);
	return set;
}

void
paramset_unref(ParamRegistry *registry, const ParamSet *set)
{
	ParamSet *mine = (ParamSet *) set;
	bool last;

	if (mine == NULL)
		return;
	pthread_mutex_lock(&registry->lock);
	last = atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1;
	if (last)
		map_remove(&registry->sets, &mine->node);
	pthread_mutex_unlock(&registry->lock);
	if (last)
		free(mine);
}

void
paramset_change(ParamRegistry *registry, const ParamSet **set, int index, Slice value)
{
	Slice values[PARAM_MAX];
	const char *old = paramset_get(*set, index);
	const ParamSet *next;

	if (value.len > PARAM_VALUE_MAX || (old != NULL && slice_equal(slice_str(old), value)))
		return;
	unpack(registry, *set, values);
	values[index] = value;
	next = build(registry, values);
	if (next == NULL)
		return;
	paramset_unref(registry, *set);
	*set = next;
}

const ParamSet *
paramset_overlay(ParamRegistry *registry, const ParamSet *base, const ParamSet *over)
{
	Slice values[PARAM_MAX];
	Slice wanted[PARAM_MAX];
	const ParamSet *next;

	if (base == over)
		return paramset_ref(base);
	unpack(registry, base, values);
	unpack(registry, over, wanted);
	for (int i = 0; i < registry->count; i++)
		if (wanted[i].ptr != NULL)
			values[i] = wanted[i];
	next = build(registry, values);
	return next != NULL ? next : paramset_ref(base);
}

static bool
append_quoted(Buf *sql, const char *value)
{
	bool ok = buf_append(sql, "E'", 2);

	for (const char *p = value; ok && *p != '\0'; p++)
	{
		if (*p == '\'' || *p == '\\')
			ok = buf_append(sql, p, 1);
		ok = ok && buf_append(sql, p, 1);
	}
	return ok && buf_append(sql, "'", 1);
}

int
params_sync_sql(const ParamRegistry *registry, const ParamSet *have, const ParamSet *want, Buf *sql)
{
	int n = 0;

	for (int i = 0; i < registry->count; i++)
	{
		const char *is = paramset_get(have, i);
		const char *wanted = paramset_get(want, i);
		char head[128];
		int len;

		if (is == NULL || wanted == NULL || strcmp(is, wanted) == 0)
			continue;
		len = snprintf(head, sizeof(head), "%sSET %s TO ", n > 0 ? ";" : "", registry->names[i]);
		if (!buf_append(sql, head, (size_t) len) || !append_quoted(sql, wanted))
			return -1;
		n++;
	}
	return n;
}
