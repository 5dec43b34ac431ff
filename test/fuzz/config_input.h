/*
 * config_input.h: bytes as a file that the configuration reads: in memory, under a name of /proc.
 */
#ifndef PGWEIR_FUZZ_CONFIG_INPUT_H
#define PGWEIR_FUZZ_CONFIG_INPUT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUST(condition)                                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
		{                                                                                                    \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                          \
			abort();                                                                                         \
		}                                                                                                    \
	} while (0)

/* The name of a file with these bytes, until the next call. */
static inline const char *
input_file(const uint8_t *data, size_t n)
{
	static int fd = -1;
	static char path[64];

	if (fd < 0)
	{
		fd = memfd_create("input", MFD_CLOEXEC);
		MUST(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t) n);
	return path;
}

#endif
