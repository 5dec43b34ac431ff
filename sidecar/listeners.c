/*
 * listeners.c: opening, inheriting and closing the listening sockets.
 */
#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_INHERITED 3 /* SD_LISTEN_FDS_START */
#define ADDRESSES_PER_NAME 16

void
listeners_inherit(Listeners *listeners)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");

	listeners->inherited = 0;
	if (pid != NULL && count != NULL && strtol(pid, NULL, 10) == (long) getpid())
		listeners->inherited = atoi(count);
	if (listeners->inherited < 0 || listeners->inherited > MAX_LISTENERS)
		listeners->inherited = 0;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < listeners->inherited; i++)
	{
		listeners->passed[i] = FIRST_INHERITED + i;
		(void) fcntl(FIRST_INHERITED + i, F_SETFD, FD_CLOEXEC);
	}
	listeners->from_systemd = listeners->inherited > 0;
}

void
listeners_take(Listeners *listeners, const int *fds, int count)
{
	memcpy(listeners->passed, fds, (size_t) count * sizeof(int));
	listeners->inherited = count;
}

void
listeners_let_go(Listeners *listeners)
{
	for (int i = 0; i < listeners->count; i++)
		listeners->items[i].keep_file = true;
	listeners_close(listeners, true);
}

bool
listeners_unix_in_use(const Listeners *listeners, const Config *config)
{
	const char *dir = config->settings->unix_socket_dir;

	return listeners->inherited == 0 && dir != NULL && dir[0] != '\0' &&
		   net_unix_answers(dir, config->process.listen_port);
}

static NetListener *
next(Listeners *listeners, const ListenersOptions *options)
{
	NetListener *listener = &listeners->items[listeners->count];

	if (listeners->count == MAX_LISTENERS)
		return NULL;
	*listener = (NetListener){.fd = -1, .owner = options->owner, .on_accept = options->on_accept,
							  .socket_options = options->config->settings->socket_options};
	return listener;
}

static void
opened(Listeners *listeners, const ListenersOptions *options)
{
	log_write(options->log, LOG_LEVEL_LOG, "listening on %s", listeners->items[listeners->count].name);
	listeners->count++;
}

static bool
too_many(char *error, size_t size)
{
	snprintf(error, size, "more than %d addresses to listen on", MAX_LISTENERS);
	return false;
}

static bool
open_inherited(Listeners *listeners, const ListenersOptions *options, char *error, size_t size)
{
	char why[200];

	for (int i = 0; i < listeners->inherited; i++)
	{
		NetListener *listener = next(listeners, options);
		int fd = listeners->passed[i];
		int flags = fcntl(fd, F_GETFL);

		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
			!net_listen_fd(options->loop, listener, fd, why, sizeof(why)))
		{
			snprintf(error, size, "could not use the inherited socket %d: %s", fd, flags < 0 ? strerror(errno) : why);
			return false;
		}
		listener->keep_file = listeners->from_systemd;
		opened(listeners, options);
	}
	return true;
}

/* unix_socket_group by name or number; false when there is no such group. */
static bool
find_group(const char *name, gid_t *gid)
{
	const struct group *group = getgrnam(name);
	char *end;
	long number = strtol(name, &end, 10);

	if (group != NULL)
		*gid = group->gr_gid;
	else if (*end == '\0' && number >= 0)
		*gid = (gid_t) number;
	else
		return false;
	return true;
}

static bool
open_unix(Listeners *listeners, const ListenersOptions *options, char *error, size_t size)
{
	const ProcessOptions *po = &options->config->process;
	const char *dir = options->config->settings->unix_socket_dir;
	NetListener *listener = next(listeners, options);
	char why[200];

	if (po->unix_socket_group[0] != '\0')
	{
		if (!find_group(po->unix_socket_group, &listener->file_group))
		{
			snprintf(error, size, "unix_socket_group: group \"%s\" does not exist", po->unix_socket_group);
			return false;
		}
		listener->has_file_group = true;
	}
	if (!net_listen_unix(options->loop, listener, dir, po->listen_port, po->unix_socket_mode, po->listen_backlog, why,
						 sizeof(why)))
	{
		snprintf(error, size, "could not listen on %s/.s.PGSQL.%d: %s", dir, po->listen_port, why);
		return false;
	}
	opened(listeners, options);
	return true;
}

/* One item of listen_addr: each address of a name; one that this machine lacks is no error as long as another works. */
static bool
open_host(Listeners *listeners, const ListenersOptions *options, const char *host, char *error, size_t size)
{
	const ProcessOptions *po = &options->config->process;
	NetAddress addresses[ADDRESSES_PER_NAME];
	bool star = strcmp(host, "*") == 0;
	char why[200] = "";
	int before = listeners->count;
	bool taken = false;
	int n = star ? 1 : net_lookup(host, po->listen_port, addresses, ADDRESSES_PER_NAME, why, sizeof(why));

	for (int i = 0; i < n; i++)
	{
		NetListener *listener = next(listeners, options);

		if (listener == NULL)
			return too_many(error, size);
		if (star ? net_listen_tcp(options->loop, listener, host, po->listen_port, po->listen_backlog, po->so_reuseport,
								  why, sizeof(why))
				 : net_listen_address(options->loop, listener, &addresses[i], po->listen_backlog, po->so_reuseport, why,
									  sizeof(why)))
			opened(listeners, options);
		else if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
		{
			taken = true;
			break;
		}
	}
	if (listeners->count > before && !taken)
	{
		if (why[0] != '\0')
			log_write(options->log, LOG_LEVEL_WARNING, "not listening on every address of %s: %s", host, why);
		return true;
	}
	snprintf(error, size, "could not listen on %s:%d: %s", host, po->listen_port, why);
	return false;
}

static bool
open_tcp(Listeners *listeners, const ListenersOptions *options, char *error, size_t size)
{
	const char *p = options->config->process.listen_addr;

	while (p != NULL && *p != '\0')
	{
		size_t len = strcspn(p, ", ");
		char host[256];

		if (len >= sizeof(host))
		{
			snprintf(error, size, "listen_addr: \"%.40s...\" is too long", p);
			return false;
		}
		memcpy(host, p, len);
		host[len] = '\0';
		if (len > 0 && !open_host(listeners, options, host, error, size))
			return false;
		p += len + (p[len] != '\0');
	}
	return true;
}

bool
listeners_open(Listeners *listeners, const ListenersOptions *options, char *error, size_t size)
{
	const char *dir = options->config->settings->unix_socket_dir;

	if (listeners->inherited > 0)
	{
		if (!open_inherited(listeners, options, error, size))
			return false;
	}
	else if ((dir != NULL && dir[0] != '\0' && !open_unix(listeners, options, error, size)) ||
			 !open_tcp(listeners, options, error, size))
		return false;
	if (listeners->count == 0)
	{
		snprintf(error, size, "nowhere to listen: set listen_addr or unix_socket_dir");
		return false;
	}
	listeners_apply(listeners, options->config);
	return true;
}

void
listeners_apply(Listeners *listeners, const Config *config)
{
	int defer = config->process.tcp_defer_accept;

	for (int i = 0; i < listeners->count; i++)
	{
		NetListener *listener = &listeners->items[i];

		net_listener_set_options(listener, &config->settings->socket_options);
		if (listener->fd >= 0 && listener->family != AF_UNIX)
			(void) setsockopt(listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
	}
}

void
listeners_close(Listeners *listeners, bool also_unix)
{
	for (int i = 0; i < listeners->count; i++)
		if (listeners->items[i].fd >= 0 && (also_unix || listeners->items[i].family != AF_UNIX))
			net_listener_close(&listeners->items[i]);
}
