/*
 * payload_apps.c: applications.
 */
#include "admin/payload_apps.h"

#include "admin/payload_json.h"

static json_t *
app_json(const AppCount *app, const AppCount *before, usec_t now, bool *ok)
{
	json_t *object = json_object();

	payload_set(object, "app", payload_text(app->name), ok);
	payload_set(object, "db", payload_text(app->database), ok);
	payload_number(object, "clients", (uint64_t) app->clients, ok);
	payload_number(object, "first_us", (uint64_t) (now - app->first_at), ok);
	payload_number(object, "xacts", app->xacts - before->xacts, ok);
	payload_number(object, "queries", app->queries - before->queries, ok);
	payload_number(object, "query_us", app->query_us - before->query_us, ok);
	payload_number(object, "think_us", app->think_us - before->think_us, ok);
	payload_number(object, "errors", app->errors - before->errors, ok);
	return object;
}

/* What was taken of it; nothing when it has lost its place meanwhile and begun anew. */
static const AppCount *
before_of(const AppTable *taken, const AppCount *app)
{
	static const AppCount none = {.serial = 0};
	const AppCount *before = app->serial != 0 ? apps_find(taken, app) : NULL;

	return before != NULL && before->queries <= app->queries && before->query_us <= app->query_us &&
				   before->errors <= app->errors && before->think_us <= app->think_us && before->xacts <= app->xacts
			   ? before
			   : &none;
}

json_t *
apps_json(AppsReported *reported, const Hall *hall, usec_t now, bool *ok)
{
	json_t *array = json_array();

	reported->built = (AppTable){.serials = 0};
	for (int i = 0; i < hall->worker_count; i++)
		apps_add(&reported->built, &hall->workers[i]->apps);
	for (int i = 0; i < APPS_MAX; i++)
	{
		const AppCount *app = &reported->built.items[i];
		const AppCount *before = before_of(&reported->taken, app);

		if (app->serial != 0 && (app->clients > 0 || before->clients > 0 || app->queries != before->queries))
			payload_append(array, app_json(app, before, now, ok), ok);
	}
	return array;
}

void
apps_taken(AppsReported *reported)
{
	reported->taken = reported->built;
}
