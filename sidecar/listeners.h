/*
 * listeners.h: the sockets on which the process accepts clients: made from the settings, or inherited from systemd.
 *
 * Sockets passed in by socket activation (LISTEN_PID, LISTEN_FDS) replace listen_addr and unix_socket_dir altogether: what the
 * unit file says is what is listened on, and the files of such sockets are left to systemd.  So do those taken over from a running
 * process (takeover.h), but their files become this process's.  Owned by the process; one thread.
 */
#ifndef PGWEIR_LISTENERS_H
#define PGWEIR_LISTENERS_H

#include "config/config.h"
#include "net/net.h"

#define MAX_LISTENERS 64

typedef struct Listeners
{
	NetListener items[MAX_LISTENERS];
	int count;
	int inherited; /* descriptors passed in by systemd or by the process before this one */
	int passed[MAX_LISTENERS]; /* these */
	bool from_systemd;
} Listeners;

typedef struct ListenersOptions
{
	NetLoop *loop;
	Log *log;
	const Config *config;
	void (*on_accept)(NetListener *listener, int fd, const NetPeer *peer);
	void *owner;
} ListenersOptions;

/* How many descriptors were passed in.  Before anything opens files or forks; forgets the variables, so that no child sees them. */
extern void listeners_inherit(Listeners *listeners);
/* Sockets of the process whose place this one takes; they are owned now. */
extern void listeners_take(Listeners *listeners, const int *fds, int count);
/* Another process serves them too: close without removing any file. */
extern void listeners_let_go(Listeners *listeners);
/* Does another process answer on the Unix socket that would be made?  Never when sockets were inherited. */
extern bool listeners_unix_in_use(const Listeners *listeners, const Config *config);
/* All or nothing: false with the reason in error; what was opened stays for listeners_close. */
extern bool listeners_open(Listeners *listeners, const ListenersOptions *options, char *error, size_t size) MUST_CHECK;
/* Settings that count for sockets which listen already: tcp_defer_accept and the options of accepted sockets. */
extern void listeners_apply(Listeners *listeners, const Config *config);
extern void listeners_close(Listeners *listeners, bool also_unix);

#endif
