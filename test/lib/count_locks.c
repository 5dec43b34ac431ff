/*
 * count_locks.c: preloaded into a program, counts the mutexes it locks, in the 8 bytes of the file that COUNT_LOCKS names.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_ulong nowhere, *count = &nowhere;
static int (*lock)(pthread_mutex_t *);

__attribute__((constructor)) static void
begin(void)
{
	const char *name = getenv("COUNT_LOCKS");
	int fd = name != NULL ? open(name, O_RDWR) : -1;
	void *place = fd >= 0 ? mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (place != MAP_FAILED)
		count = place;
	if (fd >= 0)
		close(fd);
}

int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (lock == NULL)
		*(void **) &lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	atomic_fetch_add(count, 1);
	return lock(mutex);
}
