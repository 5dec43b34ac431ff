/*
 * jobs.h: slow work off the event loop: key derivations, and calls that wait for somebody else (PAM, LDAP).
 *
 * One NetJobs for the process; each loop that wants something done has a NetJobPort, and what was asked through a port comes back
 * through it, on its loop.  Threads are started when there is work and end when there has been none for a while, so a process
 * that needs none has none.
 *
 * Two lanes, so that a directory server which does not answer cannot hold up a derivation: jobs that compute get a few threads
 * of low priority (the traffic goes first), jobs that wait get many.
 */
#ifndef PGWEIR_NET_JOBS_H
#define PGWEIR_NET_JOBS_H

#include "base/list.h"
#include "net/net.h"

typedef struct NetJobs NetJobs;
typedef struct NetJobPort NetJobPort;
typedef struct NetJob NetJob;

typedef enum NetJobLane
{
	NET_JOB_COMPUTES,
	NET_JOB_WAITS,
	NET_JOB_LANES
} NetJobLane;

/* Embedded in the object that holds input and result; zeroed but for the three functions and `urgent`. */
struct NetJob
{
	void (*run)(NetJob *job);	  /* on a thread of the pool; touches nothing but the job */
	void (*done)(NetJob *job);	  /* on the port's loop, after run; the job is the callee's */
	void (*discard)(NetJob *job); /* in place of done when nobody waits any more, on any thread: free it */
	bool urgent;				  /* before those that are not: it is for clients that have logged in */
	NetJobPort *_port;
	NetJobLane _lane;
	int _state;
	bool _abandoned;
	ListNode _node;
};

extern NetJobs *net_jobs_create(void);
/*
 * The end of the process.  Waits for what computes, not for what waits for somebody else: such a thread and what it uses are left to
 * the exit.  All ports must be gone.  Accepts NULL.
 */
extern void net_jobs_free(NetJobs *jobs);

/* The loop's own jobs (handshakes of TLS) use the port too.  NULL: no descriptor, or out of memory. */
extern NetJobPort *net_job_port_create(NetJobs *jobs, NetLoop *loop);
/* What is still under way is discarded.  Accepts NULL. */
extern void net_job_port_free(NetJobPort *port);

/* done (or discard) follows, never from inside this call.  Without any thread to be had: runs at once, and done still follows. */
extern void net_job_start(NetJobPort *port, NetJobLane lane, NetJob *job);
/* Nobody waits for the job: one that has not begun never will.  Not to be touched afterwards.  Accepts NULL. */
extern void net_job_abandon(NetJob *job);
/* For run() of a job that computes, every now and then: whoever else wants the processor gets it, now rather than some milliseconds later. */
extern void net_job_give_way(void);
/* How many are queued or running. */
extern int net_jobs_pending(NetJobs *jobs, NetJobLane lane);

#endif
