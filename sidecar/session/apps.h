/*
 * apps.h: what clients of each application_name do, by database: a deploy often comes with a new name, or with more errors of one.
 *
 * A table of fixed size.  A client points at its entry from login on; an entry that nobody points at gives way when a new name
 * needs a place.  When all are in use the rest is counted as "(others)".
 */
#ifndef PGWEIR_SESSION_APPS_H
#define PGWEIR_SESSION_APPS_H

#include "base/clock.h"

#define APPS_MAX 32
#define APPS_NAME 64

typedef struct AppCount
{
	char name[APPS_NAME];	  /* cut when longer */
	char database[APPS_NAME];
	uint64_t serial;		  /* another one in the same place has another number; 0 = the place is free */
	int clients;			  /* that point here */
	uint64_t xacts, queries, query_us, think_us, errors;
	usec_t first_at, last_at; /* last_at: when the last client came or went */
} AppCount;

typedef struct AppTable
{
	AppCount items[APPS_MAX]; /* the first is for others */
	uint64_t serials;
} AppTable;

/* The client's entry is now that of this name; *app is NULL at first.  name may be NULL. */
extern void apps_enter(AppTable *table, AppCount **app, const char *name, const char *database, usec_t now);
extern void apps_leave(AppCount **app, usec_t now);
/* The same in the table of another worker, for a client that left `was` there. */
extern void apps_enter_again(AppTable *table, AppCount **app, const AppCount *was, usec_t now);

/* Add the entries of one table to those of another: by name and database, what finds no place to the others. */
extern void apps_add(AppTable *to, const AppTable *from);
/* The entry of that name, NULL when there is none. */
extern const AppCount *apps_find(const AppTable *table, const AppCount *like);

#endif
