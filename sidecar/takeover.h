/*
 * takeover.h: -R: take the place of a running process without a refused connection.
 *
 * The new process asks the old one, on the console of its Unix socket and as the same system user, for its listening sockets, and when it
 * serves them tells the old one to end.  That one accepts nothing more and stays until its clients have left.  Blocking, before the loop
 * runs: who connects meanwhile waits in the sockets' queue.
 */
#ifndef PGWEIR_TAKEOVER_H
#define PGWEIR_TAKEOVER_H

#include "listeners.h"

typedef enum TakeoverStatus
{
	TAKEOVER_DONE,
	TAKEOVER_NOBODY, /* nobody answers: start as usual */
	TAKEOVER_FAILED, /* the reason is in error */
} TakeoverStatus;

/* Get the sockets into listeners->passed; *connection stays open for takeover_finish. */
extern TakeoverStatus takeover_begin(Listeners *listeners, const Config *config, int *connection, char *error, size_t size);
/* The sockets are served: let the old process go. Closes the connection. */
extern bool takeover_finish(int connection, char *error, size_t size);

#endif
