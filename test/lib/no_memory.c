/*
 * no_memory.c: preloaded into a program, leaves its threads, but for the first, without memory from calloc() while the file that NO_MEMORY names is
 * there.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_calloc(size_t n, size_t size);

void *
calloc(size_t n, size_t size)
{
	const char *name = gettid() != getpid() ? getenv("NO_MEMORY") : NULL;

	if (name != NULL && access(name, F_OK) == 0)
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}
