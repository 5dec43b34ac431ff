/*
 * daemon.h: what makes the process a daemon: user, background, pidfile, descriptor limit.
 *
 * Every function that can fail writes why, in one line, to error.
 */
#ifndef PGWEIR_DAEMON_H
#define PGWEIR_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

/* Switch to a user (root only); its supplementary groups come along. */
extern bool daemon_switch_user(const char *name, char *error, size_t size);
/* A pidfile of a process that lives is an error; a stale one is removed. */
extern bool daemon_check_pidfile(const char *path, char *error, size_t size);
extern bool daemon_write_pidfile(const char *path, char *error, size_t size);
/*
 * Fork into the background; the parent exits when the child calls daemon_ready(), with its success.  The working directory stays, so
 * that relative paths of the configuration mean the same at the next RELOAD.
 */
extern bool daemon_background(int *ready_fd, char *error, size_t size);
extern void daemon_ready(int ready_fd);
/* false: the kernel does not offer it. */
extern bool daemon_keep_memory_out_of_core_dumps(void);
/* Raise the limit of open descriptors as far as permitted, which is further for root; returns what it is now. */
extern long daemon_raise_descriptors(long wanted);
/* Tell systemd, if it started us: "READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1". */
extern void daemon_notify(const char *state);

#endif
