/*
 * limits.c: the rules of [limits]: found by name across reloads, matched in the order of the file.
 *
 * A rule that is removed from the file stays in the hall's list without a limit, since requests may still hold its places; there
 * are never more than the file has had names.
 */
#include "session/limits.h"

#include <stdlib.h>

#include "wire/sqlscan.h"

static Limit *
find_by_name(const Hall *hall, const char *name)
{
	list_each(node, &hall->limits)
		if (strcmp(CONTAINER_OF(node, Limit, node)->name, name) == 0)
			return CONTAINER_OF(node, Limit, node);
	return NULL;
}

static Limit *
create(Hall *hall, const char *name)
{
	Limit *limit = calloc(1, sizeof(Limit));

	if (limit == NULL || (limit->name = strdup(name)) == NULL)
	{
		free(limit);
		log_write(hall->log, LOG_LEVEL_ERROR, "out of memory: the limit \"%s\" is not in force", name);
		return NULL;
	}
	pool_cap_init(&limit->cap, 0, 0);
	list_append(&hall->limits, &limit->node);
	return limit;
}

static int
count_or_none(int value)
{
	return value > 0 ? value : 0;
}

void
limits_apply(Hall *hall)
{
	Worker *worker = hall->workers[0];
	const Settings *settings = hall->settings;
	usec_t now = worker_now(worker);

	list_each(node, &hall->limits)
		CONTAINER_OF(node, Limit, node)->spec = NULL;
	for (const LimitSpec *spec = settings->limits; spec != NULL; spec = spec->next)
	{
		Limit *limit = find_by_name(hall, spec->name);

		if (limit == NULL)
			limit = create(hall, spec->name);
		if (limit == NULL)
			continue;
		limit->spec = spec;
		list_remove(&hall->limits, &limit->node); /* in the order of the file */
		list_append(&hall->limits, &limit->node);
	}
	policy_enter(worker);
	list_each(node, &hall->limits)
	{
		Limit *limit = CONTAINER_OF(node, Limit, node);

		pool_cap_change(&limit->cap, limit->spec != NULL ? count_or_none(limit->spec->max_active) : 0,
						limit->spec != NULL ? count_or_none(limit->spec->max_waiting) : 0, now, &hall->actions);
	}
	policy_leave(worker, NULL);
	hall_run_actions(hall);
}

void
limits_free(Hall *hall)
{
	list_each(node, &hall->limits)
	{
		Limit *limit = CONTAINER_OF(node, Limit, node);

		list_remove(&hall->limits, node);
		free(limit->name);
		free(limit);
	}
}

/* --- matching --- */

/* A * at the end of the pattern stands for any rest. */
static bool
fits(const char *pattern, const char *text)
{
	size_t len;

	if (pattern == NULL)
		return true;
	if (text == NULL)
		return false;
	len = strlen(pattern);
	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(pattern, text, len - 1) == 0;
	return strcmp(pattern, text) == 0;
}

static bool
tag_fits(const char *pattern, Slice sql)
{
	const char *equals;
	char key[64];
	char value[512];
	Slice found;
	size_t len;

	if (pattern == NULL)
		return true;
	equals = strchr(pattern, '=');
	len = (size_t) (equals - pattern);
	if (len >= sizeof(key))
		return false;
	memcpy(key, pattern, len);
	key[len] = '\0';
	return sql_find_tag(sql, key, &found) && sql_decode_tag(found, value, sizeof(value), &len) && fits(equals + 1, value);
}

static const char *
application_name(const Client *client)
{
	int index = params_index(client->worker->params, slice_str("application_name"));

	return index >= 0 ? paramset_get(client->params, index) : NULL;
}

Limit *
limits_find(const Client *client, Slice sql, uint64_t fingerprint)
{
	list_each(node, &client->worker->hall->limits)
	{
		Limit *limit = CONTAINER_OF(node, Limit, node);
		const LimitSpec *spec = limit->spec;

		if (spec != NULL && (spec->fingerprint_bits == 0 || spec->fingerprint_bits == fingerprint) &&
			fits(spec->user, client->role->name) && fits(spec->database, client->database->name) &&
			(spec->application_name == NULL || fits(spec->application_name, application_name(client))) &&
			tag_fits(spec->tag, sql))
			return limit;
	}
	return NULL;
}

bool
limits_by_class(const Settings *settings)
{
	for (const LimitSpec *spec = settings->limits; spec != NULL; spec = spec->next)
		if (spec->fingerprint_bits != 0)
			return true;
	return false;
}
