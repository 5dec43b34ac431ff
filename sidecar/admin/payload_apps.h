/*
 * payload_apps.h: inside of payload.c: what is reported of applications.
 */
#ifndef PGWEIR_ADMIN_PAYLOAD_APPS_H
#define PGWEIR_ADMIN_PAYLOAD_APPS_H

#include <jansson.h>
#include <stdbool.h>

#include "session/session.h"

/* Zeroed = nothing is taken. */
typedef struct AppsReported
{
	AppTable taken, built;
} AppsReported;

/* An array of app, db, clients, first_us and the counters since the last that was taken; only of those that have clients or news. */
extern json_t *apps_json(AppsReported *reported, const Hall *hall, usec_t now, bool *ok);
extern void apps_taken(AppsReported *reported);

#endif
