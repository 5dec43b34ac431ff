/*
 * break_ring.c: preloaded into a program, lets its calls into io_uring fail as where the kernel has lost completions (EBADR), once the file that
 * BREAK_RING names is there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct io_uring;

static int
broken(void)
{
	return access(getenv("BREAK_RING"), F_OK) == 0;
}

int
io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	static int (*real)(struct io_uring *, unsigned);

	if (real == NULL)
		*(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit_and_wait");
	return broken() ? -EBADR : real(ring, n);
}

int
io_uring_submit_and_get_events(struct io_uring *ring)
{
	static int (*real)(struct io_uring *);

	if (real == NULL)
		*(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit_and_get_events");
	return broken() ? -EBADR : real(ring);
}
