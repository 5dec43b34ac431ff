/*
 * file.h: a whole small text file in memory.
 */
#ifndef PGWEIR_CONFIG_FILE_H
#define PGWEIR_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONFIG_FILE_MAX_BYTES ((size_t) 64 * 1024 * 1024)

typedef struct FileText
{
	char *text; /* owned; NUL-terminated, no NUL inside */
	size_t size;
	mode_t mode; /* permission bits */
	uid_t owner;
} FileText;

/* Read a file; false with a static reason, or that of errno, in *why. */
extern bool file_text_read(const char *path, FileText *out, const char **why);
/* Wipe and release; accepts a zeroed one. */
extern void file_text_free(FileText *file);

#endif
