/*
 * timer_test.c: the pairing heap, also against a model that just looks at every timer.
 */
#include "tap.h"
#include "base/timer.h"

#include <stddef.h>
#include <stdlib.h>

/* --- simple cases --- */

static int fired;
static usec_t fired_now;

static void
count_fire(Timer *timer, usec_t now)
{
	ok(!timer->armed, "a timer is disarmed before its callback");
	fired++;
	fired_now = now;
}

static void
one_timer(void)
{
	TimerQueue queue = {0};
	Timer timer = {.fire = count_fire};

	ok(timer_next(&queue) == DEADLINE_NONE, "an empty queue has no next instant");
	timer_disarm(&queue, &timer);
	timer_arm(&queue, &timer, 100);
	is_int(timer_next(&queue), 100, "the armed instant is next");
	timer_run(&queue, 99);
	is_int(fired, 0, "not fired too early");
	timer_run(&queue, 100);
	is_int(fired, 1, "fired at its instant");
	is_int(fired_now, 100, "with the time of the run");
	timer_run(&queue, 200);
	is_int(fired, 1, "once");
	timer_arm(&queue, &timer, 300);
	timer_arm(&queue, &timer, 250);
	is_int(timer_next(&queue), 250, "arming again moves");
	is_int(queue.count, 1, "and does not double");
	timer_arm(&queue, &timer, DEADLINE_NONE);
	ok(!timer.armed && queue.count == 0, "DEADLINE_NONE disarms");
}

/* --- callbacks that change the queue --- */

static TimerQueue shared;
static int rearmed;
static Timer *victim;

static void
rearm_now(Timer *timer, usec_t now)
{
	rearmed++;
	timer_arm(&shared, timer, now - 5);
}

static void
rearming_waits_for_the_next_run(void)
{
	Timer timer = {.fire = rearm_now};

	timer_arm(&shared, &timer, 10);
	timer_run(&shared, 10);
	is_int(rearmed, 1, "a timer that re-arms itself for the past fires once in a run");
	ok(timer_next(&shared) == 11, "and is due right after");
	timer_run(&shared, 11);
	is_int(rearmed, 2, "in the next run");
	timer_disarm(&shared, &timer);
	timer_arm(&shared, &timer, 3);
	is_int(timer_next(&shared), 3, "outside a run any instant is kept");
	timer_disarm(&shared, &timer);
}

static void
free_victim(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
	timer_disarm(&shared, victim);
	free(victim);
	victim = NULL;
}

static void
callback_may_free_another_due_timer(void)
{
	Timer killer = {.fire = free_victim};

	victim = calloc(1, sizeof(Timer));
	victim->fire = count_fire;
	fired = 0;
	timer_arm(&shared, &killer, 5);
	timer_arm(&shared, victim, 6);
	timer_run(&shared, 100);
	ok(victim == NULL && fired == 0, "a due timer freed by an earlier one's callback does not fire");
	is_int(shared.count, 0, "and is out of the queue");
}

/* --- against a model --- */

#define MODEL_TIMERS 300
#define MODEL_STEPS 40000

typedef struct Subject
{
	Timer timer;
	deadline_t expected; /* DEADLINE_NONE: must not be armed */
} Subject;

static Subject subjects[MODEL_TIMERS];
static TimerQueue model_queue;
static deadline_t last_fired;
static bool model_right = true;

static void
model_fire(Timer *timer, usec_t now)
{
	Subject *subject = (Subject *) ((char *) timer - offsetof(Subject, timer));

	model_right &= subject->expected <= now && subject->expected >= last_fired;
	last_fired = subject->expected;
	subject->expected = DEADLINE_NONE;
}

static deadline_t
model_next(int *count)
{
	deadline_t next = DEADLINE_NONE;

	*count = 0;
	for (int i = 0; i < MODEL_TIMERS; i++)
	{
		next = deadline_min(next, subjects[i].expected);
		*count += subjects[i].expected != DEADLINE_NONE;
		model_right &= subjects[i].timer.armed == (subjects[i].expected != DEADLINE_NONE);
	}
	return next;
}

static void
model_step(usec_t *now)
{
	Subject *subject = &subjects[random() % MODEL_TIMERS];

	switch (random() % 8)
	{
		case 0:
			*now += random() % 50;
			last_fired = 0;
			timer_run(&model_queue, *now);
			break;
		case 1:
		case 2:
			timer_disarm(&model_queue, &subject->timer);
			subject->expected = DEADLINE_NONE;
			break;
		default:
			subject->expected = *now + random() % 2000;
			timer_arm(&model_queue, &subject->timer, subject->expected);
			break;
	}
}

static void
behaves_like_the_model(void)
{
	usec_t now = 1;
	int count;
	int wrong_at = -1;

	srandom(11);
	for (int i = 0; i < MODEL_TIMERS; i++)
		subjects[i] = (Subject){.timer.fire = model_fire, .expected = DEADLINE_NONE};
	for (int step = 0; step < MODEL_STEPS && wrong_at < 0; step++)
	{
		model_step(&now);
		model_right &= timer_next(&model_queue) == model_next(&count);
		model_right &= model_queue.count == count;
		if (!model_right)
			wrong_at = step;
	}
	is_int(wrong_at, -1,
		   "random arming, disarming and running: the heap agrees with a linear search at each step");
	timer_run(&model_queue, now + 10000);
	ok(model_right && model_queue.count == 0 && model_next(&count) == DEADLINE_NONE,
	   "the rest fires in order");
}

#define MANY 200000

static void
order_fire(Timer *timer, usec_t now)
{
	(void) now;
	model_right &= timer->at >= last_fired;
	last_fired = timer->at;
	fired++;
}

/* Ascending insertion makes the root's list of children as long as it gets. */
static void
many_timers_need_no_stack(void)
{
	Timer *timers = calloc(MANY, sizeof(Timer));

	fired = 0;
	last_fired = 0;
	for (int i = 0; i < MANY; i++)
	{
		timers[i].fire = order_fire;
		timer_arm(&shared, &timers[i], i);
	}
	timer_disarm(&shared, &timers[0]);
	timer_run(&shared, MANY);
	is_int(fired, MANY - 1, "two hundred thousand timers fire");
	ok(model_right, "in order");
	free(timers);
}

int
main(void)
{
	one_timer();
	rearming_waits_for_the_next_run();
	callback_may_free_another_due_timer();
	behaves_like_the_model();
	many_timers_need_no_stack();
	return done_testing();
}
