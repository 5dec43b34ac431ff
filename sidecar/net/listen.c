/*
 * listen.c: listening sockets and accepting.
 *
 * Accepting takes a bounded number a turn, and after the first only what the background has left of its time, so that a storm of connections
 * does not starve those that are there.  When descriptors or memory run out the listener rests for a moment rather than spin (the kernel
 * keeps the queue meanwhile).
 */
#include "net/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16
#define REST_US (100 * USEC_PER_MSEC)

/* Addresses of one name that are tried. */
#define MAX_ADDRESSES 16

/* --- interest --- */

static void
update_interest(NetListener *listener)
{
	uint32_t events = listener->_paused || listener->_rest.armed ? 0 : EPOLLIN;

	if (listener->_registered == (events != 0))
		return;
	if (!net_loop_interest(listener->loop, listener->fd, LOOP_LISTENER, listener, &listener->_registered,
						   events))
		timer_arm(&listener->loop->timers, &listener->_rest, listener->loop->now + REST_US);
}

static void
on_rested(Timer *timer, usec_t now)
{
	(void) now;
	update_interest(CONTAINER_OF(timer, NetListener, _rest));
}

void
net_listener_pause(NetListener *listener, bool paused)
{
	listener->_paused = paused;
	if (listener->fd >= 0)
		update_interest(listener);
}

/* --- opening --- */

static bool
failed(char *error, size_t error_size, const char *what)
{
	snprintf(error, error_size, "%s: %s", what, strerror(errno));
	return false;
}

static void
reset(NetListener *listener)
{
	listener->fd = -1;
	listener->_paused = listener->_registered = false;
	listener->_complained = 0;
	listener->_file_ino = 0;
	listener->_rest = (Timer){.fire = on_rested};
}

/* The descriptor listens: join the loop.  On failure the descriptor stays the caller's. */
static bool
start(NetLoop *loop, NetListener *listener, int fd, char *error, size_t error_size)
{
	NetAddress bound = {.len = sizeof(bound.addr)};

	if (getsockname(fd, (struct sockaddr *) &bound.addr, &bound.len) < 0)
		return failed(error, error_size, "getsockname");
	net_address_name(&bound, listener->name, sizeof(listener->name));
	listener->family = bound.addr.ss_family;
	listener->loop = loop;
	if (!net_loop_interest(loop, fd, LOOP_LISTENER, listener, &listener->_registered, EPOLLIN))
		return failed(error, error_size, "epoll_ctl");
	listener->fd = fd;
	net_socket_apply_to_listener(fd, listener->family, &listener->socket_options);
	return true;
}

void
net_listener_set_options(NetListener *listener, const NetSocketOptions *options)
{
	listener->socket_options = *options;
	if (listener->fd >= 0)
		net_socket_apply_to_listener(listener->fd, listener->family, options);
}

static bool
bind_and_listen(int fd, const NetAddress *address, int backlog, bool reuse_port, char *error,
				size_t error_size)
{
	int on = 1;
	int off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return failed(error, error_size, "SO_REUSEADDR");
	if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return failed(error, error_size, "SO_REUSEPORT");
	if (address->addr.ss_family == AF_INET6)
	{
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *) &address->addr;
		bool any = IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr);

		if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(int)) < 0)
			return failed(error, error_size, "IPV6_V6ONLY");
	}
	if (bind(fd, (const struct sockaddr *) &address->addr, address->len) < 0)
		return failed(error, error_size, "bind");
	if (listen(fd, backlog) < 0)
		return failed(error, error_size, "listen");
	return true;
}

bool
net_listen_address(NetLoop *loop, NetListener *listener, const NetAddress *address, int backlog,
				   bool reuse_port, char *error, size_t error_size)
{
	int fd;
	int saved;

	reset(listener);
	fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed(error, error_size, "socket");
	if (bind_and_listen(fd, address, backlog, reuse_port, error, error_size) &&
		start(loop, listener, fd, error, error_size))
		return true;
	saved = errno;
	close(fd);
	errno = saved;
	return false;
}

/* Is the next address worth trying?  Not when this one is taken: half a success would go unnoticed. */
static bool
address_missing(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

bool
net_listen_tcp(NetLoop *loop, NetListener *listener, const char *host, int port, int backlog, bool reuse_port,
			   char *error, size_t error_size)
{
	NetAddress addresses[MAX_ADDRESSES];
	int count;

	reset(listener);
	if (host[0] == '/' || host[0] == '@')
	{
		snprintf(error, error_size, "not a TCP address");
		return false;
	}
	if (port < 0 || port > 65535)
	{
		snprintf(error, error_size, "no such port: %d", port);
		return false;
	}
	if (strcmp(host, "*") == 0)
	{
		/* dual stack, or IPv4 alone where the kernel has no IPv6 */
		count = net_lookup("::", port, &addresses[0], 1, error, error_size);
		count += net_lookup("0.0.0.0", port, &addresses[1], 1, error, error_size);
	}
	else
		count = net_lookup(host, port, addresses, MAX_ADDRESSES, error, error_size);
	for (int i = 0; i < count; i++)
	{
		if (net_listen_address(loop, listener, &addresses[i], backlog, reuse_port, error, error_size))
			return true;
		if (!address_missing(errno))
			return false;
	}
	return false;
}

/* --- Unix sockets --- */

/* Does a process accept connections there?  A full queue counts as yes. */
static bool
somebody_listens(const NetAddress *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool answer;

	if (fd < 0)
		return true;
	answer = connect(fd, (const struct sockaddr *) &address->addr, address->len) == 0 || errno == EAGAIN;
	close(fd);
	return answer;
}

/* Remove the file of a socket nobody listens on. */
static bool
clear_path(const NetAddress *address, const char *path, char *error, size_t error_size)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || failed(error, error_size, "stat");
	if (!S_ISSOCK(st.st_mode))
	{
		snprintf(error, error_size, "\"%s\" is in the way and is no socket", path);
		return false;
	}
	if (somebody_listens(address))
	{
		snprintf(error, error_size, "unix socket is in use");
		return false;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return failed(error, error_size, "unlink");
	return true;
}

bool
net_unix_answers(const char *directory, int port)
{
	NetAddress address;

	return net_address_unix(directory, port, &address) && somebody_listens(&address);
}

/* Group and mode are set between bind and listen: nobody can connect before. */
static bool
bind_unix(const NetListener *listener, int fd, const NetAddress *address, const char *path, int mode,
		  int backlog, char *error, size_t error_size)
{
	if (bind(fd, (const struct sockaddr *) &address->addr, address->len) < 0)
	{
		if (errno != EADDRINUSE)
			return failed(error, error_size, "bind");
		snprintf(error, error_size, "unix socket is in use");
		return false;
	}
	if (path != NULL && listener->has_file_group && chown(path, (uid_t) -1, listener->file_group) < 0)
	{
		failed(error, error_size, "chown");
		unlink(path);
		return false;
	}
	if (path != NULL && chmod(path, (mode_t) mode) < 0)
	{
		failed(error, error_size, "chmod");
		unlink(path);
		return false;
	}
	if (listen(fd, backlog) < 0)
		return failed(error, error_size, "listen");
	return true;
}

/* Which file is ours; none for the abstract namespace. */
static void
remember_file(NetListener *listener, const char *path)
{
	struct stat st;

	if (path == NULL || lstat(path, &st) < 0)
		return;
	listener->_file_dev = st.st_dev;
	listener->_file_ino = st.st_ino;
}

bool
net_listen_unix(NetLoop *loop, NetListener *listener, const char *directory, int port, int mode, int backlog,
				char *error, size_t error_size)
{
	NetAddress address;
	const char *path = ((const struct sockaddr_un *) &address.addr)->sun_path;
	int fd;

	reset(listener);
	if (!net_address_unix(directory, port, &address))
	{
		snprintf(error, error_size, "socket path too long");
		return false;
	}
	if (path[0] == '\0')
		path = NULL;
	else if (!clear_path(&address, path, error, error_size))
		return false;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return failed(error, error_size, "socket");
	if (bind_unix(listener, fd, &address, path, mode, backlog, error, error_size) &&
		start(loop, listener, fd, error, error_size))
	{
		remember_file(listener, path);
		return true;
	}
	close(fd);
	return false;
}

bool
net_listen_fd(NetLoop *loop, NetListener *listener, int fd, char *error, size_t error_size)
{
	reset(listener);
	if (!start(loop, listener, fd, error, error_size))
		return false;
	if (listener->family == AF_UNIX && strncmp(listener->name, "unix:/", 6) == 0)
		remember_file(listener, listener->name + 5);
	return true;
}

/* --- accepting --- */

/* Descriptors or memory ran out: say so once a second, and let the queue wait. */
static void
rest(NetListener *listener, int error)
{
	NetLoop *loop = listener->loop;

	if (loop->log != NULL &&
		(listener->_complained == 0 || loop->now - listener->_complained >= USEC_PER_SEC))
	{
		log_write(loop->log, LOG_LEVEL_WARNING, "could not accept a connection on %s: %s", listener->name,
				  strerror(error));
		listener->_complained = loop->now;
	}
	timer_arm(&loop->timers, &listener->_rest, loop->now + REST_US);
	update_interest(listener);
}

static void
describe_peer(const NetListener *listener, int fd, const struct sockaddr_storage *addr, NetPeer *peer)
{
	struct ucred credentials;
	socklen_t len = sizeof(credentials);
	const char *suffix = strrchr(listener->name, '.');

	net_peer_from(addr, peer);
	if (addr->ss_family != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0)
		return;
	peer->pid = (uint32_t) credentials.pid;
	peer->uid = credentials.uid;
	peer->port = suffix != NULL ? (uint16_t) strtoul(suffix + 1, NULL, 10) : 0;
}

/* Errors of the one connection that was to be accepted, not of the listener. */
static bool
is_of_the_peer(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
		   error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
		   error == EHOSTUNREACH || error == ENETUNREACH;
}

void
net_listener_event(NetListener *listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN && listener->fd >= 0 && !listener->_paused && (i == 0 || net_background_may_run(listener->loop)); i++)
	{
		struct sockaddr_storage addr = {0};
		socklen_t len = sizeof(addr);
		NetPeer peer;
		int fd = accept4(listener->fd, (struct sockaddr *) &addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && is_of_the_peer(errno))
			continue;
		if (fd < 0)
		{
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				rest(listener, errno);
			return;
		}
		addr.ss_family = (sa_family_t) listener->family;
		net_socket_apply_to_accepted(fd, &listener->socket_options);
		describe_peer(listener, fd, &addr, &peer);
		listener->on_accept(listener, fd, &peer);
	}
}

/* --- closing --- */

/* Remove the socket's file, unless somebody has put another one in its place. */
static void
remove_file(const NetListener *listener)
{
	const char *path = listener->name + strlen("unix:");
	struct stat st;

	if (listener->_file_ino == 0 || listener->keep_file)
		return;
	if (lstat(path, &st) == 0 && st.st_dev == listener->_file_dev && st.st_ino == listener->_file_ino)
		unlink(path);
}

void
net_listener_close(NetListener *listener)
{
	if (listener->loop == NULL || listener->fd < 0)
		return;
	timer_disarm(&listener->loop->timers, &listener->_rest);
	(void) !net_loop_interest(listener->loop, listener->fd, LOOP_LISTENER, listener, &listener->_registered,
							  0);
	net_loop_forget(listener->loop, listener);
	remove_file(listener);
	close(listener->fd);
	listener->fd = -1;
}
