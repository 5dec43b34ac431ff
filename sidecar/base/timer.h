/*
 * timer.h: exact timers, kept in an intrusive pairing heap.
 *
 * A Timer is embedded in the object it belongs to, so arming cannot fail.  Arming is O(1), disarming and firing
 * are O(log n) amortised.  A zeroed Timer with `fire` set is disarmed, a zeroed TimerQueue is empty.  Timers of
 * the same instant fire in no particular order.  The queue knows no clock: the owner asks timer_next() how long
 * to sleep and calls timer_run(now).
 */
#ifndef PGWEIR_BASE_TIMER_H
#define PGWEIR_BASE_TIMER_H

#include <stdbool.h>
#include "base/clock.h"

typedef struct Timer Timer;
typedef void (*TimerFire)(Timer *timer, usec_t now);

struct Timer
{
	deadline_t at; /* meaningful while armed */
	TimerFire fire;
	bool armed;
	Timer *_child;
	Timer *_next; /* next sibling */
	Timer *_prev; /* previous sibling, or parent for a first child */
};

typedef struct TimerQueue
{
	Timer *_root;
	int count;
	deadline_t _floor; /* while running: the first instant that waits for the next run */
} TimerQueue;

/* Arm (or move) a timer to an instant; DEADLINE_NONE disarms it. */
extern void timer_arm(TimerQueue *queue, Timer *timer, deadline_t at);
extern void timer_disarm(TimerQueue *queue, Timer *timer);
/* The earliest armed instant, or DEADLINE_NONE. */
extern deadline_t timer_next(const TimerQueue *queue);
/*
 * Fire everything due at `now`, each timer disarmed before its callback; callbacks may arm, disarm and free any
 * timer.  What a callback arms for an instant <= now is moved to now + 1 and so waits for the next run.
 */
extern void timer_run(TimerQueue *queue, usec_t now);

#endif
