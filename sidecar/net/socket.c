/*
 * socket.c: what is asked of and told by single sockets: options, our own end, the kernel's measurements.
 */
#include "net/loop.h"

#include <linux/tcp.h> /* struct tcp_info has more here than in netinet/tcp.h */

static void
set_int(int fd, int level, int option, int value)
{
	/* an option that the kernel refuses is no reason to refuse the connection */
	(void) setsockopt(fd, level, option, &value, sizeof(value));
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
	if (options != NULL && options->buffer_bytes > 0)
	{
		set_int(fd, SOL_SOCKET, SO_SNDBUF, options->buffer_bytes);
		set_int(fd, SOL_SOCKET, SO_RCVBUF, options->buffer_bytes);
	}
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
