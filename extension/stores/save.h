/*
 * save.h: what is counted outlives a restart of the server.
 *
 * The postmaster writes statement classes, callers and plans to pg_stat/pgweir.stat when it shuts down, after all backends have merged their
 * counts, and reads and removes the file when it starts.  When a backend crashes, and with it the shared memory goes, a child of the postmaster writes
 * what it finds there, the counts of the backends included; should it fail, counting begins anew.  The history of the last hour
 * and single executions, which hold data, are never written.  A file
 * of another major version of the server (whose queryids are others), of another format, or with a wrong checksum is set aside as
 * pgweir.stat.damaged with a line in the log; it never keeps the server from starting.
 */
#ifndef PGWEIR_STORES_SAVE_H
#define PGWEIR_STORES_SAVE_H

#include "c.h"

/* To be called in the postmaster only, when the memory is fresh and at its exit, or in its child. */
extern void pgweir_load(void);
extern void pgweir_save(void);

#endif
