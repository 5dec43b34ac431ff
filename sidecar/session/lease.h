/*
 * lease.h: a worker's way around the policy: it gives servers that its clients are done with to further clients of its own.
 *
 * While nobody waits in a pool, a transaction that ends leaves its server with its worker, and the next one of the same pool and worker
 * takes it from there: no lock is taken.  For the policy such a server stays active.  The spare ones stand in an array of atomic
 * pointers (PoolPart.lease), from which whoever swaps one for NULL has it: their worker, or anybody who has entered the policy and needs
 * one, which gives them back to the pool first (lease_enter).  SessionPool.no_lease says that the policy wants to be asked; a
 * worker that adds a spare one looks at it afterwards, who sets it looks for spare ones afterwards, so one of the two sees the other.
 *
 * What has run is counted in tallies by statement class, and told to the policy ten times a second and whenever somebody looks (the
 * other workers are parked then); what runs for long is shown sooner.  Whoever keeps a server tells, when that is due; the timer looks only at leases that are not
 * used, and at what runs for long.  A spare server that stays unused for as long goes back as well.
 * A limit that pools share (max_db_connections, max_user_connections) holds by itself, as what is on lease is active for it; while it keeps a
 * pool from opening a server nothing is leased in its other pools.  A request under a rule of [limits] takes its place there by an atomic counter.
 * The limit of an adaptive pool holds in the same way: nothing is leased while more are active than it allows, and it learns from the tallies.
 * With server_round_robin a worker takes its spare ones in turn, and gives them back after so many uses that all servers of the pool have their turn.
 * Not used: while somebody waits; for statements seen seldom or of the slow lane; with server_round_robin and one worker, which keeps the order of all
 * servers exactly; and where the next use needs a check.
 */
#ifndef PGWEIR_SESSION_LEASE_H
#define PGWEIR_SESSION_LEASE_H

#include "session/session.h"

/* --- by the worker, outside of the policy --- */
/* A spare server for the request of this client, which may be NULL: ask the policy. */
extern Server *lease_take(Client *client, usec_t now);
/* A statement begins, has ended, on a linked server: true when the policy need not be told. */
extern bool lease_starts(Server *server, uint64_t fingerprint, usec_t now) MUST_CHECK;
extern bool lease_ran(Server *server, const GroupRun *run, usec_t now) MUST_CHECK;
/* The client is done with its server, which is clean and idle: true when it is kept, else it must be released. */
extern bool lease_keep(Server *server, const GroupRun *run, usec_t now) MUST_CHECK;

/* --- in the policy --- */
/* The worker is about to ask for a slot: its spare ones go back to the pool, those of the others if it has none. */
extern void lease_enter(Worker *worker, SessionPool *pool);
/* The pool has changed: may it be leased from?  If not, nothing stays on the side.  policy_leave() calls it. */
extern void lease_leave(Worker *worker, SessionPool *pool);
/* A pool may have become short of what others of its groups have on lease: that goes back.  Whoever leaves the policy calls it. */
extern void lease_end_crowded(Worker *worker);
/* A server that serves a client is as any other from here on, and what it runs is known.  Harmless when it is not on lease. */
extern void lease_end(Server *server);
/* The same of one that is about to be closed, and may be a spare one. */
extern void lease_withdraw(Server *server);
/* As lease_keep(), once the policy has learned how long the statement ran; `fingerprint` is its class. */
extern bool lease_begin(Server *server, uint64_t fingerprint, usec_t now) MUST_CHECK;
/* The client goes on with its server, which the policy need not be told about any longer if that can be. */
extern void lease_adopt(Server *server, uint64_t fingerprint, usec_t now);

/* --- the whole --- */
extern void lease_init(Worker *worker);
/* By its worker or parked: everything is told, and all that is spare goes back. */
extern void lease_end_all(Worker *worker);
/* The part goes. */
extern void lease_free(PoolPart *part);

#endif
