/*
 * apps.c: finding entries.
 */
#include "session/apps.h"

#include <stdio.h>
#include <string.h>

static AppCount *
others(AppTable *table, usec_t now)
{
	AppCount *app = &table->items[0];

	if (app->serial == 0)
	{
		snprintf(app->name, sizeof(app->name), "(others)");
		app->serial = ++table->serials;
		app->first_at = now;
	}
	return app;
}

static AppCount *
find(AppTable *table, const char *name, const char *database, usec_t now)
{
	AppCount *place = NULL;

	for (int i = 1; i < APPS_MAX; i++)
	{
		AppCount *app = &table->items[i];

		if (app->serial != 0 && strcmp(app->name, name) == 0 && strcmp(app->database, database) == 0)
			return app;
		if (app->clients == 0 && (place == NULL || app->last_at < place->last_at))
			place = app;
	}
	if (place == NULL)
		return others(table, now);
	*place = (AppCount){.serial = ++table->serials, .first_at = now, .last_at = now};
	memcpy(place->name, name, sizeof(place->name));
	memcpy(place->database, database, sizeof(place->database));
	return place;
}

/* Whole, or its beginning without half a character at the end; zero-padded. */
static void
cut(char out[APPS_NAME], const char *text)
{
	size_t len = strnlen(text, APPS_NAME);

	if (len == APPS_NAME)
		for (len--; len > 0 && ((unsigned char) text[len] & 0xC0) == 0x80; len--)
			;
	memset(out, 0, APPS_NAME);
	memcpy(out, text, len);
}

void
apps_leave(AppCount **app, usec_t now)
{
	if (*app == NULL)
		return;
	(*app)->clients--;
	(*app)->last_at = now;
	*app = NULL;
}

void
apps_enter(AppTable *table, AppCount **app, const char *name, const char *database, usec_t now)
{
	char name_key[APPS_NAME];
	char database_key[APPS_NAME];

	cut(name_key, name != NULL ? name : "");
	cut(database_key, database);
	apps_leave(app, now);
	*app = find(table, name_key, database_key, now);
	(*app)->clients++;
	(*app)->last_at = now;
}

/* --- tables of several workers --- */

void
apps_enter_again(AppTable *table, AppCount **app, const AppCount *was, usec_t now)
{
	/* only that of the others has no database */
	*app = was->database[0] == '\0' ? others(table, now) : find(table, was->name, was->database, now);
	(*app)->clients++;
	(*app)->last_at = now;
	/* it is no newer than it was there */
	if (was->first_at < (*app)->first_at)
		(*app)->first_at = was->first_at;
}

const AppCount *
apps_find(const AppTable *table, const AppCount *like)
{
	for (int i = 0; i < APPS_MAX; i++)
	{
		const AppCount *app = &table->items[i];

		if (app->serial != 0 && strcmp(app->name, like->name) == 0 && strcmp(app->database, like->database) == 0)
			return app;
	}
	return NULL;
}

static AppCount *
place_for(AppTable *to, const AppCount *app)
{
	AppCount *found = (AppCount *) apps_find(to, app);

	for (int i = 1; found == NULL && i < APPS_MAX; i++)
		if (to->items[i].serial == 0)
		{
			found = &to->items[i];
			*found = (AppCount){.serial = ++to->serials, .first_at = app->first_at};
			memcpy(found->name, app->name, sizeof(found->name));
			memcpy(found->database, app->database, sizeof(found->database));
		}
	return found != NULL ? found : others(to, app->first_at);
}

void
apps_add(AppTable *to, const AppTable *from)
{
	for (int i = 0; i < APPS_MAX; i++)
	{
		const AppCount *app = &from->items[i];
		AppCount *sum;

		if (app->serial == 0)
			continue;
		sum = i == 0 ? others(to, app->first_at) : place_for(to, app);
		sum->clients += app->clients;
		sum->xacts += app->xacts;
		sum->queries += app->queries;
		sum->query_us += app->query_us;
		sum->think_us += app->think_us;
		sum->errors += app->errors;
		if (app->first_at < sum->first_at)
			sum->first_at = app->first_at;
		if (app->last_at > sum->last_at)
			sum->last_at = app->last_at;
	}
}
