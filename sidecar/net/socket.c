/*
 * socket.c: what is asked of and told by single sockets: options, reading and writing, our own end, the kernel's measurements.
 */
#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <linux/tcp.h> /* struct tcp_info has more here than in netinet/tcp.h */
#include <sys/syscall.h>
#include <unistd.h>

/* Up to so much in pieces is cheaper to put together than to have the kernel read their list. */
#define GATHER_MAX 1024

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

static void
set_int(int fd, int level, int option, int value)
{
	/* an option that the kernel refuses is no reason to refuse the connection */
	(void) setsockopt(fd, level, option, &value, sizeof(value));
}

static void
apply_buffers(int fd, const NetSocketOptions *options)
{
	if (options->buffer_bytes <= 0)
		return;
	set_int(fd, SOL_SOCKET, SO_SNDBUF, options->buffer_bytes);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, options->buffer_bytes);
}

static void
apply_keepalive(int fd, const NetSocketOptions *options)
{
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (options->keepcnt > 0)
		set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepcnt);
	if (options->keepidle_s > 0)
		set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepidle_s);
	if (options->keepintvl_s > 0)
		set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepintvl_s);
}

void
net_socket_apply(int fd, int family, const NetSocketOptions *options)
{
	if (options != NULL)
		apply_buffers(fd, options);
	if (family == AF_UNIX)
		return;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (options == NULL)
		return;
	if (options->keepalive)
		apply_keepalive(fd, options);
	if (options->user_timeout_ms > 0)
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
}

void
net_socket_apply_to_listener(int fd, int family, const NetSocketOptions *options)
{
	const int timing[] = {TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL};
	int fresh = family == AF_UNIX ? -1 : socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (family == AF_UNIX)
		return;
	/* first the system's own values, for what was set before and is not any more */
	for (size_t i = 0; fresh >= 0 && i < sizeof(timing) / sizeof(timing[0]); i++)
	{
		int value;
		socklen_t len = sizeof(value);

		if (getsockopt(fresh, IPPROTO_TCP, timing[i], &value, &len) == 0)
			set_int(fd, IPPROTO_TCP, timing[i], value);
	}
	if (fresh >= 0)
		close(fresh);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (options->keepalive)
		apply_keepalive(fd, options);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
}

void
net_socket_apply_to_accepted(int fd, const NetSocketOptions *options)
{
	apply_buffers(fd, options);
}

bool
net_local_peer(const NetConn *conn, NetPeer *peer)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (!net_is_open(conn) || getsockname(conn->fd, (struct sockaddr *) &addr, &len) < 0)
		return false;
	net_peer_from(&addr, peer);
	return true;
}

bool
net_health(const NetConn *conn, NetHealth *out)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	/* Fails for Unix sockets.  A peer that is slow to acknowledge is sent things twice, too, and says so (RFC 2883): no loss. */
	if (!net_is_open(conn) || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	*out = (NetHealth){
		.rtt_us = info.tcpi_rtt,
		.rttvar_us = info.tcpi_rttvar,
		.retransmits = info.tcpi_total_retrans > info.tcpi_dsack_dups ? info.tcpi_total_retrans - info.tcpi_dsack_dups : 0,
		.segments = info.tcpi_data_segs_out,
		.lost = info.tcpi_lost,
		.unacked = info.tcpi_unacked,
	};
	return true;
}

int
net_socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/*
 * Called as such, as sendto() below: the C library's recv() and send(), in a process of several threads, are prepared for the thread to be cancelled
 * meanwhile.
 */
ssize_t
net_socket_read(int fd, uint8_t *to, size_t size)
{
	ssize_t n;

	do
		n = syscall(SYS_recvfrom, fd, to, size, MSG_DONTWAIT, NULL, NULL);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t
net_socket_write_bytes(int fd, const void *bytes, size_t len)
{
	ssize_t n;

	do
		n = syscall(SYS_sendto, fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t
write_gathered(int fd, const struct iovec *iov, int iov_count)
{
	uint8_t together[GATHER_MAX];
	size_t len = 0;

	for (int i = 0; i < iov_count; i++)
	{
		if (iov[i].iov_len > 0)
			memcpy(together + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return net_socket_write_bytes(fd, together, len);
}

static ssize_t
write_pieces(int fd, const struct iovec *iov, int iov_count)
{
	struct msghdr msg = {.msg_iov = (struct iovec *) iov, .msg_iovlen = (size_t) (iov_count < IOV_MAX ? iov_count : IOV_MAX)};
	ssize_t n;

	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t
net_socket_write(int fd, const struct iovec *iov, int iov_count, size_t total)
{
	if (iov_count == 1)
		return net_socket_write_bytes(fd, iov->iov_base, total);
	return total <= GATHER_MAX ? write_gathered(fd, iov, iov_count) : write_pieces(fd, iov, iov_count);
}

ssize_t
net_socket_send_descriptor(int fd, const void *bytes, size_t len, int passed)
{
	union
	{
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *) bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &passed, sizeof(int));
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}
