/*
 * payload.h: what a report to the extension says, as JSON (payload version 2).
 *
 * Counters and histograms are differences since the last payload that was taken, gauges are current values.  A payload that was
 * built and not taken changes nothing: the next one covers its time too.  When a report was taken and its answer was lost,
 * its differences are reported twice.
 *
 * Bounded: at most PAYLOAD_POOLS pools, PAYLOAD_LINKED linked servers (of PAYLOAD_SERVERS) and PAYLOAD_SAMPLES sockets; of more
 * pools, servers and sockets each payload has the next ones in turn.
 */
#ifndef PGWEIR_ADMIN_PAYLOAD_H
#define PGWEIR_ADMIN_PAYLOAD_H

#include "session/session.h"

#define PAYLOAD_VERSION 2 /* a version only adds keys: an older extension takes what it knows */
#define PAYLOAD_POOLS 200
#define PAYLOAD_LINKED 1000
#define PAYLOAD_SERVERS 5000 /* looked at, whether they are linked */
#define PAYLOAD_SAMPLES 200 /* sockets asked for their health */
#define PAYLOAD_ADDRESSES 64 /* distinct ones among them, per direction */

typedef struct Payload Payload;

/* NULL when out of memory. */
extern Payload *payload_create(Worker *worker);
/* Must come before worker_free(). */
extern void payload_free(Payload *payload);
/* The JSON text, for free(); NULL when out of memory. */
extern char *payload_build(Payload *payload);
/* The payload built last has been taken in. */
extern void payload_taken(Payload *payload);

#endif
