/*
 * file.c: read until the end, whatever the size was said to be, up to a limit.
 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Append what the descriptor gives to file, whose buffer grows; false with *why. */
static bool
read_all(int fd, FileText *file, size_t capacity, const char **why)
{
	for (;;)
	{
		ssize_t got;

		if (file->text == NULL || file->size == capacity)
		{
			char *larger = realloc(file->text, 2 * capacity + 1);

			if (larger == NULL)
			{
				*why = "out of memory";
				return false;
			}
			file->text = larger;
			capacity = 2 * capacity;
		}
		got = read(fd, file->text + file->size, capacity - file->size);
		if (got == 0)
			return true;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
		{
			*why = strerror(errno);
			return false;
		}
		file->size += (size_t) got;
		if (file->size > CONFIG_FILE_MAX_BYTES)
		{
			*why = "the file is too large";
			return false;
		}
	}
}

bool
file_text_read(const char *path, FileText *out, const char **why)
{
	FileText file = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	size_t hint;

	if (fd < 0)
	{
		*why = strerror(errno);
		return false;
	}
	if (fstat(fd, &st) != 0)
	{
		*why = strerror(errno);
		goto fail;
	}
	/* twice the hint is allocated at once, so that a file of a known size is never moved (its copies would
	 * stay in memory) */
	hint = st.st_size > 0 && (size_t) st.st_size < CONFIG_FILE_MAX_BYTES ? (size_t) st.st_size : 2048;
	if (!read_all(fd, &file, hint, why))
		goto fail;
	file.text[file.size] = '\0';
	if (memchr(file.text, '\0', file.size) != NULL)
	{
		*why = "it holds a zero byte and is no text file";
		goto fail;
	}
	file.mode = st.st_mode & 07777;
	file.owner = st.st_uid;
	close(fd);
	*out = file;
	return true;

fail:
	close(fd);
	file_text_free(&file);
	return false;
}

void
file_text_free(FileText *file)
{
	if (file->text != NULL)
		explicit_bzero(file->text, file->size);
	free(file->text);
	*file = (FileText){0};
}
