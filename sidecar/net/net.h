/*
 * net.h: file descriptors, the event loop, reading and writing.  Knows no message and no pool.
 *
 * One NetLoop belongs to one thread.  A NetConn is embedded in the object that owns the connection (client,
 * server, console...); the owner gets events through a NetHandler.  Rules that make the callers simple:
 *
 * - No function here calls a handler synchronously: events come only from net_loop_run(), one at a time.
 * - net_send() writes at once when nothing is queued before it, or, a little by io_uring, when the loop next enters the kernel; what the kernel
 *   does not take is queued (a copy), and net_backlog() tells how much.  Who produces faster than the peer reads must stop (net_pause()
 *   the source) while there is a backlog and go on in on_drained(): so no connection ever holds more than one
 *   read's worth.
 * - Input is read into one buffer per loop; bytes that on_input() does not use are kept in a buffer of the
 *   connection's own and presented again together with what follows, or after net_resume().  An idle connection
 *   owns no buffer.
 * - A failed write or a lost peer is reported once by on_end(), never by the call that noticed.
 * - net_close() closes the descriptor at once; on_released() is called at the end of the same iteration, when
 *   no event can point at the connection any more: the owner frees it there.
 *
 * A loop waits by epoll alone or by io_uring too (net/ring.h), which changes nothing of this: what io_uring received that nobody wants yet is held.
 *
 * TLS (net/tls.h) is below net_send() and the read, and changes nothing above.
 */
#ifndef PGWEIR_NET_NET_H
#define PGWEIR_NET_NET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/timer.h"

typedef struct NetLoop NetLoop;
typedef struct NetConn NetConn;
typedef struct NetListener NetListener;
typedef struct NetWatch NetWatch;

/* Size of the loop's shared read buffer: no read returns more. */
#define NET_READ_SIZE (64 * 1024)

typedef enum NetEnd
{
	NET_END_EOF,			/* the peer closed its side */
	NET_END_ERROR,			/* read or write failed; errno given */
	NET_END_CONNECT_FAILED, /* errno given */
} NetEnd;

typedef struct NetHandler
{
	/*
	 * Bytes are there: held ones first.  Returns how many were used (the rest is held).  The callee may change
	 * the bytes in place.  Not called while paused.  Using none and not pausing means "I need more bytes".  Do
	 * not pause and use none for ever: bound it.
	 */
	size_t (*on_input)(NetConn *conn, uint8_t *data, size_t len);
	/* Everything queued by net_send has been written (only after there was a backlog). */
	void (*on_drained)(NetConn *conn);
	/* A connection started by net_connect is up.  NULL for accepted ones. */
	void (*on_connected)(NetConn *conn);
	/* The connection is over; nothing but net_close() makes sense now.  At most once, never after net_close. */
	void (*on_end)(NetConn *conn, NetEnd why, int error);
	/* Last call after net_close: free the object. */
	void (*on_released)(NetConn *conn);
} NetHandler;

/* The peer of a socket, compact (clients keep one each). */
typedef struct NetPeer
{
	uint8_t family; /* AF_INET, AF_INET6 or AF_UNIX */
	uint16_t port;	/* host order; for AF_UNIX that of the listening socket, or 0 */
	uint32_t pid;	/* AF_UNIX: SO_PEERCRED; else 0 */
	uint32_t uid;	/* AF_UNIX: SO_PEERCRED; else (uint32_t) -1 */
	uint8_t ip[16]; /* AF_INET uses the first four */
} NetPeer;

typedef struct NetAddress
{
	struct sockaddr_storage addr;
	socklen_t len;
} NetAddress;

struct NetConn
{
	NetLoop *loop;				/* borrowed: outlives every connection */
	const NetHandler *handler;	/* borrowed: static */
	int fd;						/* for getsockopt and the like; net_is_open() tells whether there is one */
	bool background;			/* owner's choice: others come first, see net_loop_run */
	bool early_hangup;			/* owner's choice: report a closed peer also while paused (clients: yes, servers: no) */
	bool _paused;
	bool _connecting;
	bool _open;					/* fd is ours */
	bool _ended;				/* on_end was called, or never will be */
	bool _closing;				/* net_close_flushed: closes when drained */
	bool _closed;				/* net_close was called */
	bool _registered;			/* known to epoll */
	bool _unread;				/* a read may give something: no event will tell again */
	bool _hangup;				/* the peer has closed or is lost: reading goes on until that is read */
	bool _gap;					/* input was lost for want of memory: what follows it must not be shown */
	uint32_t _armed;			/* epoll events asked for */
	int _pending_error;			/* errno of a failed write that on_end will report */
	Buf _in;					/* held input */
	Buf _out;					/* queued output */
	bool _late;					/* that list is the background's */
	uint8_t _ring;				/* a NetRingState */
	uint8_t _post;				/* number of what is posted in the ring, from 1; 0: nothing */
	uint8_t _streak;			/* with epoll small reads, on the ring full buffers, in a row */
	ListNode _ready_node;		/* on one of the loop's two lists of what is ready */
	ListNode _closed_node;		/* on the loop's closed list, or on one of its ring's */
	struct NetLinger *_linger;	/* owned; while closing */
	struct NetTls *_tls;		/* owned; NULL = plain */
};

/* --- loop --- */

/* What a loop waits with.  Small messages of connections without TLS cost less by io_uring (net/ring.h). */
typedef enum NetBackend
{
	NET_BACKEND_EPOLL,
	NET_BACKEND_URING,
	NET_BACKEND_AUTO, /* io_uring where it can be had; of a loop: not that */
} NetBackend;
/* Can a loop use io_uring?  Linux 6.1 is needed, and filters may refuse it; false: `why` tells. */
extern bool net_uring_works(char *why, size_t size) MUST_CHECK;

typedef struct NetLoopOptions
{
	Log *log; /* borrowed */
	NetBackend backend;
} NetLoopOptions;

/* For the calling thread.  A loop that io_uring is refused to after all says so in the log and uses epoll. */
extern NetLoop *net_loop_create(const NetLoopOptions *options);
extern NetBackend net_loop_backend(const NetLoop *loop);
extern void net_loop_free(NetLoop *loop);
/*
 * Run until net_loop_stop(); false when waiting itself failed (errno tells; the kernel may have lost what was to be told, so the loop is of no use
 * any more).  In each iteration connections marked `background`, and accepting, come
 * after all others and get a bounded time: a thousand logins at once cost the others a fraction of a millisecond per iteration.
 */
extern bool net_loop_run(NetLoop *loop);
extern void net_loop_stop(NetLoop *loop);
/* One iteration that waits at most max_wait_us (tests, and shutting down). */
extern bool net_loop_once(NetLoop *loop, usec_t max_wait_us);
/*
 * The end of a process: let connections that are being closed say their last words for at most limit_us, then
 * close them.
 */
extern void net_loop_flush(NetLoop *loop, usec_t limit_us);
/* The monotonic time, read once per iteration. */
extern usec_t net_now(const NetLoop *loop);
/* Read it now: by another thread, while the loop's own waits at the end of an iteration. */
extern void net_loop_look_at_clock(NetLoop *loop);
extern TimerQueue *net_timers(NetLoop *loop);
/*
 * Called once at the end of each iteration, after all events (the owner drains deferred work there). NULL for
 * none.
 */
extern void net_loop_on_turn(NetLoop *loop, void (*on_turn)(void *arg, usec_t now), void *arg);

/*
 * Work for the end of the iteration: done once, before the loop sleeps, however often it was asked for.  Embedded in the object it is
 * for; zeroed but for `run`.
 */
typedef struct NetDeferred NetDeferred;
struct NetDeferred
{
	void (*run)(NetDeferred *deferred, usec_t now);
	ListNode _node;
};
static inline bool
net_is_deferred(const NetDeferred *deferred)
{
	return list_linked(&deferred->_node);
}
extern void net_defer(NetLoop *loop, NetDeferred *deferred);
/* Before its memory goes.  Nothing happens when it is not deferred. */
extern void net_undefer(NetLoop *loop, NetDeferred *deferred);

/* --- connections --- */

/* Socket options for new connections, both directions; 0 = leave the system's. */
typedef struct NetSocketOptions
{
	bool keepalive;
	int keepcnt;
	int keepidle_s;
	int keepintvl_s;
	int user_timeout_ms;
	int buffer_bytes;
} NetSocketOptions;

/*
 * Take over a connected descriptor (from a listener).  The conn must be zeroed but for early_hangup.  false:
 * the descriptor is still the caller's, the conn is as after a failed net_connect.
 */
extern bool net_adopt(NetLoop *loop, NetConn *conn, int fd, const NetHandler *handler) MUST_CHECK;
/*
 * Start to connect; the result comes as on_connected or on_end.  false: not even a socket could be had (errno
 * tells); the conn is not open, but net_close() works and leads to on_released.  The conn must be zeroed but
 * for early_hangup.
 */
extern bool net_connect(NetLoop *loop, NetConn *conn, const NetAddress *to, const NetSocketOptions *options,
						const NetHandler *handler) MUST_CHECK;
/*
 * Take an open connection out of its loop, to give it to another thread; not inside its own callbacks.  Until net_attach() by the thread of
 * the other loop nothing may be done with it.  What is held, queued or still to be reported comes along.
 */
extern void net_detach(NetConn *conn);
extern void net_attach(NetLoop *loop, NetConn *conn);
/* Write, or queue what cannot be written now.  The iovecs are not changed and are free again on return. */
extern void net_send(NetConn *conn, const struct iovec *iov, int iov_count);
static inline void
net_send_bytes(NetConn *conn, const void *bytes, size_t len)
{
	struct iovec iov = {(void *) bytes, len};

	net_send(conn, &iov, 1);
}
/* Write bytes on a Unix socket, and with them a descriptor; false, with nothing sent, when they cannot be written at once. */
extern bool net_send_descriptor(NetConn *conn, const void *bytes, size_t len, int fd) MUST_CHECK;
/* Bytes queued and not yet written. */
static inline size_t
net_backlog(const NetConn *conn)
{
	return buf_len(&conn->_out);
}
/* Held input bytes not yet used by on_input. */
static inline size_t
net_held(const NetConn *conn)
{
	return buf_len(&conn->_in);
}
/*
 * Stop on_input; cheap: no system call until an event really comes.  What is sent to the peer is not touched by
 * it.
 */
extern void net_pause(NetConn *conn);
/*
 * Go on: held bytes are presented again in this or the next iteration, then reading continues.  Nothing happens
 * when not paused.
 */
extern void net_resume(NetConn *conn);
static inline bool
net_is_paused(const NetConn *conn)
{
	return conn->_paused;
}
/*
 * Close now: unsent output is lost.  Safe inside the conn's own callbacks: the bytes given to on_input stay
 * readable until it returns. on_released follows at the end of the iteration in any case; a second call does
 * nothing.  Of a conn that was never adopted or connected `loop` and `handler` must be set.
 */
extern void net_close(NetConn *conn);
/*
 * Write what is queued, tell the peer that this was all, and close when it has closed too: so that it reads the
 * last message rather than a reset.  What it still sends is thrown away.  After at most linger_us the conn is
 * closed anyway.  No further event but on_released.
 */
extern void net_close_flushed(NetConn *conn, usec_t linger_us);
static inline bool
net_is_open(const NetConn *conn)
{
	return conn->_open;
}

/* --- listening --- */

struct NetListener
{
	NetLoop *loop;
	int fd; /* -1 when closed */
	void (*on_accept)(NetListener *listener, int fd, const NetPeer *peer); /* fd is the callee's, non-blocking and close-on-exec */
	void *owner;
	NetSocketOptions socket_options; /* of accepted sockets (and TCP_NODELAY); while it is open they are changed by net_listener_set_options() */
	char name[128];					 /* "127.0.0.1:6432", "unix:/tmp/.s.PGSQL.6432" for logs */
	bool keep_file;					 /* net_listener_close leaves the socket's file: another process listens on it */
	int family;						 /* AF_INET, AF_INET6 or AF_UNIX */
	bool has_file_group;			 /* set by the caller before net_listen_unix: give the file this group */
	gid_t file_group;
	bool _paused;					 /* the owner wants no accepts */
	bool _registered;				 /* known to epoll */
	dev_t _file_dev;				 /* the socket file that was made, so that nobody else's is removed */
	ino_t _file_ino;
	usec_t _complained;				 /* when a failing accept was last logged */
	Timer _rest;					 /* armed: no accepts for a moment, descriptors ran out */
};

/*
 * Listen on a TCP address ("*", a name or an address) or a Unix path; on failure writes why into error and
 * returns false.  "*" makes one dual-stack listener; a name with several addresses the first that works, IPv4
 * before IPv6 (use net_lookup for all); port 0 lets the system choose (the name tells).  A name is looked up in
 * a blocking way: at start only.  An existing stale socket file is replaced, a live one is an error.  The
 * caller sets on_accept, owner, socket_options.  The listener must not be freed inside on_accept.
 */
extern bool net_listen_tcp(NetLoop *loop, NetListener *listener, const char *host, int port, int backlog,
						   bool reuse_port, char *error, size_t error_size) MUST_CHECK;
/* The same on one address; errno tells why it failed. */
extern bool net_listen_address(NetLoop *loop, NetListener *listener, const NetAddress *address, int backlog,
							   bool reuse_port, char *error, size_t error_size) MUST_CHECK;
extern bool net_listen_unix(NetLoop *loop, NetListener *listener, const char *directory, int port, int mode,
							int backlog, char *error, size_t error_size) MUST_CHECK;
/* Does a process accept connections on that Unix socket? */
extern bool net_unix_answers(const char *directory, int port);
/* Accept on a socket that listens already (socket activation); takes the descriptor over, also its file. */
extern bool net_listen_fd(NetLoop *loop, NetListener *listener, int fd, char *error, size_t error_size) MUST_CHECK;
/* Other options, for connections that come from now on. */
extern void net_listener_set_options(NetListener *listener, const NetSocketOptions *options);
/* Stop accepting (descriptor limit, suspend) and go on. */
extern void net_listener_pause(NetListener *listener, bool paused);
/* Close; a Unix socket's file is removed. */
extern void net_listener_close(NetListener *listener);

/* --- foreign descriptors (signalfd, libpq, c-ares) --- */

struct NetWatch
{
	NetLoop *loop;
	int fd;
	void (*on_ready)(NetWatch *watch, bool readable, bool writable);
	void *owner;
	bool background; /* owner's choice, as of a conn */
	bool _registered;
	uint32_t _events; /* asked for */
};

/*
 * on_ready gets what was asked for; errors and hang-ups count as both.  With neither asked for the descriptor
 * is left alone.
 */
extern bool net_watch(NetLoop *loop, NetWatch *watch, int fd, bool readable, bool writable) MUST_CHECK;
extern bool net_watch_change(NetWatch *watch, bool readable, bool writable) MUST_CHECK;
/* Stop watching, before the descriptor is closed; does not close it.  The watch may be freed at once. */
extern void net_unwatch(NetWatch *watch);

/* --- addresses --- */

/* A numeric address or Unix path to a NetAddress; false when it is a name (resolve it) or malformed. */
extern bool net_address_parse(const char *host, int port, NetAddress *out) MUST_CHECK;
/* The same address, whatever the ports. */
extern bool net_address_same_host(const NetAddress *a, const NetAddress *b);
/*
 * "<directory>/.s.PGSQL.<port>"; a directory that starts with '@' means the abstract namespace.  false: too
 * long.
 */
extern bool net_address_unix(const char *directory, int port, NetAddress *out) MUST_CHECK;
/*
 * All addresses of a name or of an address, IPv4 first; blocking.  Returns how many, 0 with a reason in error.
 */
extern int net_lookup(const char *host, int port, NetAddress *out, int max, char *error, size_t error_size);
/* "127.0.0.1:5432", "[::1]:5432", "unix:/tmp/.s.PGSQL.5432"; returns buf. */
extern const char *net_address_name(const NetAddress *address, char *buf, size_t size);
/* "10.0.0.7", "::1", "unix"; returns buf. */
extern const char *net_peer_ip(const NetPeer *peer, char *buf, size_t size);
/* "10.0.0.7:51234", "[::1]:5", "unix(4711)"; returns buf. */
extern const char *net_peer_name(const NetPeer *peer, char *buf, size_t size);
/* An IPv4 address mapped into IPv6 becomes IPv4 again. */
extern void net_peer_from(const struct sockaddr_storage *addr, NetPeer *peer);
/* Our own end of an open connection. */
extern bool net_local_peer(const NetConn *conn, NetPeer *peer) MUST_CHECK;

/* Kernel measurements of a TCP socket; false for Unix sockets. */
typedef struct NetHealth
{
	uint32_t rtt_us;
	uint32_t rttvar_us;
	uint32_t retransmits; /* since the connection began, without those that the peer said were needless */
	uint32_t segments;	  /* sent with data, likewise; those sent again count too */
	uint32_t lost;
	uint32_t unacked;
} NetHealth;
extern bool net_health(const NetConn *conn, NetHealth *out) MUST_CHECK;

#endif
