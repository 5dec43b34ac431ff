/*
 * probe.c: one target a host list and port; its hosts are tried one after another.
 */
#include "admin/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TARGETS_MAX 200
#define HOSTS_TEXT 256

typedef enum ProbeState
{
	STATE_KNOWN,	  /* `up` was so at checked_at (0 = never) */
	STATE_RESOLVING,  /* the timer limits it */
	STATE_CONNECTING, /* likewise */
	STATE_CLOSING,	  /* the connection is being taken down; then the next host, or KNOWN */
} ProbeState;

typedef struct Target
{
	ListNode node; /* Probes.targets */
	Probes *probes;
	char hosts[HOSTS_TEXT];
	int port;
	ProbeState state;
	bool up;
	bool stopped;
	char reason[160];
	usec_t checked_at;
	int host;	 /* index of the one being tried */
	NetConn conn;
	ResolverQuery *dns;
	Timer timer;
} Target;

struct Probes
{
	Worker *worker; /* borrowed */
	void (*on_answer)(void *arg);
	void *arg;
	List targets; /* Target, owned */
};

static void try_next(Target *target);

/* --- one attempt --- */

static bool
nth_host(const Target *target, int n, char *out, size_t size)
{
	const char *at = target->hosts;

	for (; n > 0 && at != NULL; n--)
		at = (at = strchr(at, ',')) != NULL ? at + 1 : NULL;
	if (at == NULL)
		return false;
	at += strspn(at, " ");
	snprintf(out, size, "%.*s", (int) strcspn(at, ", "), at);
	return true;
}

static void
answer(Target *target, bool up)
{
	target->state = STATE_KNOWN;
	target->up = up;
	target->checked_at = worker_now(target->probes->worker);
	timer_disarm(net_timers(target->probes->worker->loop), &target->timer);
	if (!target->stopped)
		target->probes->on_answer(target->probes->arg);
}

/* The attempt is over: this host does not answer. */
static void
no(Target *target, const char *reason)
{
	char host[HOSTS_TEXT] = "";

	(void) nth_host(target, target->host, host, sizeof(host));
	snprintf(target->reason, sizeof(target->reason), "%.80s:%d: %.60s", host, target->port, reason);
	target->up = false;
}

/* What follows comes in on_released. */
static void
take_down(Target *target)
{
	target->state = STATE_CLOSING;
	timer_disarm(net_timers(target->probes->worker->loop), &target->timer);
	net_close(&target->conn);
}

static void
on_connected(NetConn *conn)
{
	Target *target = CONTAINER_OF(conn, Target, conn);

	target->up = true;
	take_down(target);
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	Target *target = CONTAINER_OF(conn, Target, conn);

	(void) why;
	no(target, strerror(error));
	take_down(target);
}

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	(void) conn;
	(void) data;
	return len;
}

static void
on_drained(NetConn *conn)
{
	(void) conn;
}

static void
on_released(NetConn *conn)
{
	Target *target = CONTAINER_OF(conn, Target, conn);

	if (target->up || target->stopped)
		answer(target, target->up);
	else
	{
		target->host++;
		try_next(target);
	}
}

static const NetHandler probe_handler = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_connected = on_connected,
	.on_end = on_end,
	.on_released = on_released,
};

static void
connect_to(Target *target, const NetAddress *address)
{
	Worker *worker = target->probes->worker;

	target->state = STATE_CONNECTING;
	target->conn = (NetConn){.fd = -1, .loop = worker->loop, .handler = &probe_handler};
	if (!net_connect(worker->loop, &target->conn, address, &worker->settings->socket_options, &probe_handler))
	{
		no(target, strerror(errno));
		take_down(target);
	}
}

static void
on_resolved(void *arg, const NetAddress *addresses, int count, const char *error)
{
	Target *target = arg;

	target->dns = NULL;
	if (count > 0)
	{
		connect_to(target, &addresses[0]);
		return;
	}
	no(target, error);
	target->host++;
	try_next(target);
}

static void
try_next(Target *target)
{
	Worker *worker = target->probes->worker;
	char host[HOSTS_TEXT];
	NetAddress address;

	if (!nth_host(target, target->host, host, sizeof(host)))
	{
		answer(target, false);
		return;
	}
	timer_arm(net_timers(worker->loop), &target->timer, worker_now(worker) + PROBE_LIMIT_US);
	if (host[0] == '/' || host[0] == '@' ? net_address_unix(host, target->port, &address)
										 : net_address_parse(host, target->port, &address))
	{
		connect_to(target, &address);
		return;
	}
	target->state = STATE_RESOLVING;
	target->dns = resolver_ask(worker->resolver, host, target->port, on_resolved, target);
	if (target->dns == NULL)
	{
		no(target, "the name cannot be resolved");
		answer(target, false);
	}
}

static void
on_timer(Timer *timer, usec_t now)
{
	Target *target = CONTAINER_OF(timer, Target, timer);

	(void) now;
	no(target, "no answer in time");
	if (target->state == STATE_CONNECTING)
		take_down(target);
	else if (target->state == STATE_RESOLVING)
	{
		resolver_cancel(target->dns);
		target->dns = NULL;
		target->host++;
		try_next(target);
	}
}

/* --- asking --- */

static Target *
find_target(Probes *probes, const char *hosts, int port)
{
	Target *target;

	list_each(node, &probes->targets)
	{
		target = CONTAINER_OF(node, Target, node);
		if (target->port == port && strncmp(target->hosts, hosts, HOSTS_TEXT - 1) == 0)
			return target;
	}
	if (probes->targets.count == TARGETS_MAX || (target = calloc(1, sizeof(Target))) == NULL)
		return NULL;
	target->probes = probes;
	target->port = port;
	target->timer.fire = on_timer;
	snprintf(target->hosts, sizeof(target->hosts), "%s", hosts);
	list_append(&probes->targets, &target->node);
	return target;
}

ProbeAnswer
probes_ask(Probes *probes, const char *hosts, int port, const char **reason)
{
	const Worker *worker = probes->worker;
	Target *target;

	if (hosts == NULL || hosts[0] == '\0')
		hosts = worker->settings->unix_socket_dir != NULL && worker->settings->unix_socket_dir[0] != '\0'
					? worker->settings->unix_socket_dir
					: "/tmp";
	*reason = "";
	if ((target = find_target(probes, hosts, port)) == NULL)
		return PROBE_UP; /* more than are looked at: no reason to turn anybody away */
	if (target->state == STATE_KNOWN &&
		(target->checked_at == 0 || worker_now(worker) - target->checked_at > PROBE_FRESH_US))
	{
		target->host = 0;
		try_next(target);
	}
	if (target->state != STATE_KNOWN)
		return PROBE_PENDING;
	*reason = target->reason;
	return target->up ? PROBE_UP : PROBE_DOWN;
}

/* --- life --- */

Probes *
probes_create(Worker *worker, void (*on_answer)(void *arg), void *arg)
{
	Probes *probes = calloc(1, sizeof(Probes));

	if (probes == NULL)
		return NULL;
	*probes = (Probes){.worker = worker, .on_answer = on_answer, .arg = arg};
	list_init(&probes->targets);
	return probes;
}

void
probes_stop(Probes *probes)
{
	list_each(node, &probes->targets)
	{
		Target *target = CONTAINER_OF(node, Target, node);

		target->stopped = true;
		timer_disarm(net_timers(probes->worker->loop), &target->timer);
		if (target->dns != NULL)
			resolver_cancel(target->dns);
		target->dns = NULL;
		if (target->state == STATE_CONNECTING)
			take_down(target);
	}
}

void
probes_free(Probes *probes)
{
	list_each(node, &probes->targets)
	{
		list_remove(&probes->targets, node);
		free(CONTAINER_OF(node, Target, node));
	}
	free(probes);
}
