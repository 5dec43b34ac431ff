/*
 * clock.h: instants and durations.
 *
 * A duration (usec_t) is microseconds.  A deadline (deadline_t) is an absolute instant of the monotonic clock in
 * microseconds; DEADLINE_NONE is the largest value, so that the earlier of two deadlines is a plain minimum.
 */
#ifndef PGWEIR_BASE_CLOCK_H
#define PGWEIR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef int64_t usec_t;
typedef int64_t deadline_t;

#define DEADLINE_NONE INT64_MAX
#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_MSEC INT64_C(1000)

static inline usec_t
clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (usec_t) ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* The processor time that the calling thread has used. */
static inline usec_t
clock_thread_used(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (usec_t) ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

static inline deadline_t
deadline_min(deadline_t a, deadline_t b)
{
	return a < b ? a : b;
}

/* now + duration, where a duration <= 0 means "no limit". */
static inline deadline_t
deadline_after(usec_t now, usec_t duration)
{
	return duration <= 0 || now > DEADLINE_NONE - duration ? DEADLINE_NONE : now + duration;
}

#endif
