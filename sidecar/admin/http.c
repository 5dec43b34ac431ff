/*
 * http.c: connections come from a listener of ours and are given to libmicrohttpd; its epoll descriptor is watched by the loop.
 *
 * A request that needs a probe is suspended and asked again when the answer has come.
 */
#include "admin/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/health.h"
#include "admin/metrics.h"
#include "admin/payload.h"

#define CONNECTIONS_MAX 32
#define CONNECTION_TIMEOUT_S 10
#define CONNECTION_MEMORY (16 * 1024)
#define BACKLOG 16

/* One request of a connection. */
typedef struct Request
{
	ListNode node; /* Http.waiting, while suspended */
	struct MHD_Connection *connection; /* borrowed */
	bool seen;	   /* its head has been looked at; the rest of it is to come */
} Request;

struct Http
{
	Worker *worker; /* borrowed */
	struct MHD_Daemon *daemon;
	NetListener listener;
	NetWatch watch; /* of the daemon's epoll descriptor */
	Timer timer;	/* when the daemon wants to run next */
	Probes *probes;
	List waiting; /* Request */
	bool stopping;
};

/* --- turns of the daemon --- */

static void
rearm(Http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	TimerQueue *timers = net_timers(http->worker->loop);

	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		timer_arm(timers, &http->timer, worker_now(http->worker) + (usec_t) wait_ms * USEC_PER_MSEC);
	else
		timer_disarm(timers, &http->timer);
}

static void
run(Http *http)
{
	(void) MHD_run(http->daemon);
	rearm(http);
}

static void
on_ready(NetWatch *watch, bool readable, bool writable)
{
	(void) readable;
	(void) writable;
	run(watch->owner);
}

static void
on_timer(Timer *timer, usec_t now)
{
	(void) now;
	run(CONTAINER_OF(timer, Http, timer));
}

/* Called where anything may be under way: only see to it that the daemon runs soon. */
static void
on_probe_answer(void *arg)
{
	Http *http = arg;

	list_each(node, &http->waiting)
	{
		list_remove(&http->waiting, node);
		MHD_resume_connection(CONTAINER_OF(node, Request, node)->connection);
	}
	timer_arm(net_timers(http->worker->loop), &http->timer, worker_now(http->worker));
}

static void
on_accept(NetListener *listener, int fd, const NetPeer *peer)
{
	Http *http = listener->owner;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	(void) peer;
	if (getpeername(fd, (struct sockaddr *) &addr, &len) < 0)
	{
		close(fd);
		return;
	}
	(void) MHD_add_connection(http->daemon, fd, (struct sockaddr *) &addr, len); /* closes what it does not take */
	run(http);
}

/* --- answers --- */

static enum MHD_Result
reply(struct MHD_Connection *connection, unsigned int status, const char *type, struct MHD_Response *response)
{
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	(void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void) MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
reply_text(struct MHD_Connection *connection, unsigned int status, const void *text, size_t len)
{
	return reply(connection, status, "text/plain; charset=utf-8",
				 MHD_create_response_from_buffer(len, (void *) text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result
reply_line(struct MHD_Connection *connection, unsigned int status, const char *text)
{
	return reply_text(connection, status, text, strlen(text));
}

static enum MHD_Result
reply_metrics(Http *http, struct MHD_Connection *connection)
{
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	MetricsFormat format =
		accept != NULL && strstr(accept, "application/openmetrics-text") != NULL ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
	Buf out = {0};
	struct MHD_Response *response;

	if (!metrics_write(http->worker, format, &out))
	{
		buf_free(&out);
		return reply_line(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
	/* out has never been consumed from: what it points at can be freed */
	response = MHD_create_response_from_buffer(buf_len(&out), out.data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		buf_free(&out);
	return reply(connection, MHD_HTTP_OK, metrics_content_type(format), response);
}

static enum MHD_Result
reply_json(Http *http, struct MHD_Connection *connection)
{
	Payload *payload = payload_create(http->worker);
	char *text = payload != NULL ? payload_build(payload) : NULL;
	struct MHD_Response *response;

	payload_free(payload);
	if (text == NULL)
		return reply_line(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(text);
	return reply(connection, MHD_HTTP_OK, "application/json", response);
}

static enum MHD_Result
reply_health(Http *http, Request *request, Health health, const Buf *text)
{
	static const unsigned int statuses[] = {
		[HEALTH_OK] = MHD_HTTP_OK,
		[HEALTH_BAD] = MHD_HTTP_SERVICE_UNAVAILABLE,
		[HEALTH_UNKNOWN] = MHD_HTTP_NOT_FOUND,
	};

	if (health != HEALTH_PENDING)
		return reply_text(request->connection, statuses[health], buf_ptr(text), buf_len(text));
	list_append(&http->waiting, &request->node);
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

static enum MHD_Result
answer(Http *http, Request *request, const char *path)
{
	static const char nothing[] = "there are /healthz, /readyz, /readyz/DATABASE, /metrics and /json\n";
	Buf text = {0};
	Health health;
	enum MHD_Result result;

	if (strcmp(path, "/metrics") == 0)
		return reply_metrics(http, request->connection);
	if (strcmp(path, "/json") == 0)
		return reply_json(http, request->connection);
	hall_park(http->worker->hall);
	if (strcmp(path, "/healthz") == 0)
		health = health_of_process(http->worker, http->probes, &text);
	else if (strcmp(path, "/readyz") == 0)
		health = health_of_all(http->worker, http->probes, &text);
	else if (strncmp(path, "/readyz/", 8) == 0)
		health = health_of_database(http->worker, http->probes, path + 8, &text);
	else
	{
		health = HEALTH_UNKNOWN;
		(void) !buf_append(&text, nothing, sizeof(nothing) - 1);
	}
	hall_unpark(http->worker->hall);
	result = reply_health(http, request, health, &text);
	buf_free(&text);
	return result;
}

/* Called when the head of a request is there, then for its body, then at its end, and again after a suspension. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
		   const char *upload, size_t *upload_size, void **state)
{
	Http *http = arg;
	Request *request = *state;

	(void) version;
	(void) upload;
	if (request == NULL)
	{
		if ((request = calloc(1, sizeof(Request))) == NULL)
			return MHD_NO;
		request->connection = connection;
		*state = request;
		return MHD_YES;
	}
	if (*upload_size > 0)
	{
		*upload_size = 0; /* nobody has anything to tell us */
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	return answer(http, request, path);
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	Http *http = arg;
	Request *request = *state;

	(void) connection;
	(void) why;
	if (request == NULL)
		return;
	if (list_linked(&request->node))
		list_remove(&http->waiting, &request->node);
	free(request);
	*state = NULL;
}

static void on_message(void *arg, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void
on_message(void *arg, const char *format, va_list args)
{
	Http *http = arg;

	log_vwrite(http->worker->log, LOG_LEVEL_DEBUG, "http: ", format, args);
}

/* --- life --- */

static bool
start_daemon(Http *http)
{
	const union MHD_DaemonInfo *info;

	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, http,
		MHD_OPTION_EXTERNAL_LOGGER, on_message, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int) CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int) CONNECTION_TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY, MHD_OPTION_END);
	if (http->daemon == NULL || (info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)) == NULL)
		return false;
	http->watch = (NetWatch){.on_ready = on_ready, .owner = http};
	return net_watch(http->worker->loop, &http->watch, info->epoll_fd, true, false);
}

Http *
http_create(Worker *worker, const char *host, int port, char *error, size_t size)
{
	Http *http = calloc(1, sizeof(Http));

	snprintf(error, size, "out of memory");
	if (http == NULL)
		return NULL;
	http->worker = worker;
	http->timer.fire = on_timer;
	list_init(&http->waiting);
	http->listener.on_accept = on_accept;
	http->listener.owner = http;
	http->listener.fd = -1;
	if ((http->probes = probes_create(worker, on_probe_answer, http)) == NULL || !start_daemon(http) ||
		!net_listen_tcp(worker->loop, &http->listener, host, port, BACKLOG, false, error, size))
	{
		http_stop(http);
		http_free(http);
		return NULL;
	}
	return http;
}

const char *
http_address(const Http *http)
{
	return http->listener.name;
}

void
http_stop(Http *http)
{
	if (http == NULL || http->stopping)
		return;
	http->stopping = true;
	if (http->listener.fd >= 0)
		net_listener_close(&http->listener);
	if (http->probes != NULL)
		probes_stop(http->probes);
	timer_disarm(net_timers(http->worker->loop), &http->timer);
	if (http->daemon == NULL)
		return;
	/* who is suspended must be resumed before the end */
	list_each(node, &http->waiting)
	{
		list_remove(&http->waiting, node);
		MHD_resume_connection(CONTAINER_OF(node, Request, node)->connection);
	}
	net_unwatch(&http->watch);
	MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}

void
http_free(Http *http)
{
	if (http == NULL)
		return;
	if (http->probes != NULL)
		probes_free(http->probes);
	free(http);
}
