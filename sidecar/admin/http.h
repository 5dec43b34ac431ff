/*
 * http.h: the HTTP endpoint, for balancers, Prometheus and people (setting http_listen; off by default).
 *
 *   /healthz            200 when the process can serve, 503 with a reason when not: see health.h
 *   /readyz             200 when every database of the configuration is ready
 *   /readyz/DATABASE    200 when that one is; 404 when there is none
 *   /metrics            OpenMetrics, or the older text format for those who do not ask for that
 *   /json               the same and more as JSON: what a report to the extension says, with counters since the start
 *
 * libmicrohttpd does the protocol; it runs on the first worker's loop, through its epoll descriptor, so nothing is locked and requests
 * take turns with clients of the pooler.  Connections, their memory and their time are bounded.  It only reads.
 */
#ifndef PGWEIR_ADMIN_HTTP_H
#define PGWEIR_ADMIN_HTTP_H

#include "session/session.h"

typedef struct Http Http;

/* NULL with a reason in error: the address is no good, or taken.  Leaves with http_stop(), turns of the loop, http_free(). */
extern Http *http_create(Worker *worker, const char *host, int port, char *error, size_t size);
/* Where it listens: "127.0.0.1:9127". */
extern const char *http_address(const Http *http);
extern void http_stop(Http *http);
/* Accepts NULL, as does http_stop. */
extern void http_free(Http *http);

#endif
