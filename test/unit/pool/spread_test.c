/*
 * spread_test.c: at how many homes clients are served, and who is told to go.
 */
#include "pool/spread.h"

#include "tap.h"

#define WINDOW SPREAD_WINDOW_US

static Spread spread;
static usec_t now;

static void
begin(SpreadMode mode, int homes)
{
	spread_init(&spread, mode, homes);
	now = 100 * USEC_PER_SEC;
}

/* A window of each home passes; what the first is told. */
static SpreadAdvice
window(const int *busy, int clients)
{
	SpreadAdvice advice[POOL_HOMES];

	now += WINDOW;
	for (int i = 0; i < spread.homes; i++)
		advice[i] = spread_tell(&spread, i, busy[i], clients, now);
	return advice[0];
}

static SpreadAdvice
windows(int n, const int *busy, int clients)
{
	SpreadAdvice advice = {0};

	while (n-- > 0)
		advice = window(busy, clients);
	return advice;
}

static void
a_light_load_stays_with_one(void)
{
	const int none[4] = {0};

	begin(SPREAD_AUTO, 4);
	is_int(spread.active, 1, "one serves at first");
	is_int(windows(200, (int[4]){650}, 20).leave, 0, "a load that one carries moves nobody");
	is_int(spread.active, 1, "one serves");
	is_int(spread_choose(&spread, (int[4]){500, 0, 0, 0}, 3, now), 0, "new clients go there");
	(void) windows(100, none, 0);
	is_int(spread.active, 1, "and when nothing happens");
}

static void
a_busy_one_is_relieved(void)
{
	SpreadAdvice advice;

	begin(SPREAD_AUTO, 4);
	(void) windows(2, (int[4]){750}, 20);
	is_int(spread.active, 1, "two busy windows may be a coincidence");
	advice = window((int[4]){750}, 20);
	is_int(spread.active, 2, "three bring the next in");
	is_int(advice.to, 1, "clients go there");
	is_int(advice.leave, 10, "half of those that do something");
	is_int(window((int[4]){750}, 20).leave, 0, "then it is awaited what that is good for");
	is_int(spread_choose(&spread, (int[4]){20, 0, 0, 0}, 0, now), 1, "new clients go to the other one");
}

static void
a_surge_brings_another_in_sooner(void)
{
	begin(SPREAD_AUTO, 4);
	(void) window((int[4]){1000}, 0);
	is_int(spread.active, 1, "one window is none");
	is_int(window((int[4]){1000}, 0).leave, 0, "nobody goes where nobody has a transaction: logins");
	is_int(spread.active, 2, "two are one");
	(void) windows(2, (int[4]){1000, 1000}, 0);
	is_int(spread.active, 3, "and on to the third");
	(void) windows(20, (int[4]){1000, 1000, 1000, 1000}, 0);
	is_int(spread.active, 4, "up to all");
}

static void
one_that_has_room_goes_before_another(void)
{
	SpreadAdvice advice;

	begin(SPREAD_AUTO, 4);
	spread.active = 2;
	advice = windows(4, (int[4]){900, 200}, 20);
	is_int(spread.active, 2, "an uneven load needs no third");
	advice = windows(4, (int[4]){900, 200}, 20);
	for (int i = 0; i < 4 && advice.leave == 0; i++)
		advice = window((int[4]){900, 200}, 20);
	is_int(advice.to, 1, "it is evened out");
	ok(advice.leave > 5 && advice.leave < 10, "by half of the difference");
	begin(SPREAD_AUTO, 4);
	spread.active = 2;
	(void) windows(4, (int[4]){900, 800}, 20);
	is_int(spread.active, 3, "where all are busy a third comes in");
}

static void
differences_that_do_not_matter_move_nobody(void)
{
	int gone = 0;

	begin(SPREAD_AUTO, 2);
	spread.active = 2;
	(void) window((int[2]){100, 100}, 2);
	for (int i = 0; i < 100; i++)
		gone += window(i % 2 ? (int[2]){600, 500} : (int[2]){500, 600}, 20).leave;
	is_int(gone, 0, "two that are about as busy");
	begin(SPREAD_AUTO, 2);
	spread.active = 2;
	gone = 0;
	for (int i = 0; i < 40; i++)
		gone += window((int[2]){650, 100}, 1).leave;
	is_int(gone, 0, "one client alone stays, however busy it is");
}

static void
too_many_step_back(void)
{
	begin(SPREAD_AUTO, 3);
	spread.active = 3;
	(void) windows(70, (int[3]){400, 300, 300}, 20);
	is_int(spread.active, 3, "two could carry it, but not with room to spare");
	(void) windows(50, (int[3]){300, 250, 250}, 20);
	is_int(spread.active, 3, "it must have been calm for a while");
	(void) windows(20, (int[3]){300, 250, 250}, 20);
	is_int(spread.active, 2, "then one steps back");
	(void) windows(3, (int[3]){300, 250, 250}, 20);
	now += WINDOW;
	is_int(spread_tell(&spread, 2, 250, 20, now).leave, SPREAD_ALL, "all clients that end a transaction leave it");
	is_int(spread_tell(&spread, 2, 250, 20, now).to, 1, "for the one that is less busy");
	(void) windows(70, (int[3]){300, 250, 250}, 20);
	is_int(spread.active, 2, "and the others stay, whoever does the work");
	(void) windows(30, (int[3]){200, 100, 50}, 20);
	(void) windows(10, (int[3]){900, 800, 0}, 20);
	is_int(spread.active, 3, "a new load finds it again");
}

static void
a_pause_is_not_calm_for_ever(void)
{
	begin(SPREAD_AUTO, 2);
	spread.active = 2;
	(void) window((int[2]){100, 100}, 2);
	now += 60 * USEC_PER_SEC;
	is_int(spread_busy(&spread, 0, now), 0, "who is not heard of sleeps");
	(void) spread_tell(&spread, 1, 10, 1, now);
	is_int(spread.active, 1, "what was calm before and after it has been calm");
}

static void
other_modes(void)
{
	begin(SPREAD_EVEN, 4);
	is_int(spread.active, 4, "even: all serve");
	is_int(windows(100, (int[4]){1000, 0, 0, 0}, 20).leave, 0, "and nobody moves");
	is_int(spread.active, 4, "whatever happens");
	is_int(spread_choose(&spread, (int[4]){3, 2, 3, 2}, 2, now), 3, "new ones go to who has the fewest, in turn");
	begin(SPREAD_ROAM, 4);
	is_int(spread_tell(&spread, 3, 0, 0, now).to, 0, "roam: on to the next");
	is_int(spread_tell(&spread, 3, 0, 0, now).leave, SPREAD_ALL, "everybody");
	begin(SPREAD_ROAM, 1);
	is_int(spread_tell(&spread, 0, 0, 0, now).leave, 0, "but to nowhere");
	begin(SPREAD_EVEN, 4);
	spread_set_mode(&spread, SPREAD_AUTO);
	is_int(spread.active, 4, "a change to auto begins with all");
	(void) windows(300, (int[4]){100, 50, 50, 50}, 20);
	is_int(spread.active, 1, "who step back one by one");
	spread_set_mode(&spread, SPREAD_AUTO);
	is_int(spread.active, 1, "the same mode again changes nothing");
	spread_set_mode(&spread, SPREAD_EVEN);
	is_int(spread.active, 4, "and back");
}

int
main(void)
{
	a_light_load_stays_with_one();
	a_busy_one_is_relieved();
	a_surge_brings_another_in_sooner();
	one_that_has_room_goes_before_another();
	differences_that_do_not_matter_move_nobody();
	too_many_step_back();
	a_pause_is_not_calm_for_ever();
	other_modes();
	return done_testing();
}
