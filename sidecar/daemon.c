/*
 * daemon.c: user, background, pidfile, descriptor limit, systemd's readiness protocol.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* All groups that the user is in. */
static bool
take_groups(const struct passwd *user)
{
	int count = 0;
	gid_t *groups;
	bool ok;

	(void) getgrouplist(user->pw_name, user->pw_gid, NULL, &count); /* tells how many there are */
	groups = calloc((size_t) count + 1, sizeof(gid_t));
	ok = groups != NULL && getgrouplist(user->pw_name, user->pw_gid, groups, &count) >= 0 && setgroups((size_t) count, groups) == 0;
	free(groups);
	return ok;
}

bool
daemon_switch_user(const char *name, char *error, size_t size)
{
	const struct passwd *user = getpwnam(name);

	if (user == NULL)
	{
		snprintf(error, size, "user \"%s\" does not exist", name);
		return false;
	}
	if (user->pw_uid == geteuid())
		return true;
	if (!take_groups(user) || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
	{
		snprintf(error, size, "could not switch to user \"%s\": %s", name, strerror(errno));
		return false;
	}
	return true;
}

bool
daemon_check_pidfile(const char *path, char *error, size_t size)
{
	FILE *file = fopen(path, "r");
	long pid = 0;

	if (file == NULL)
	{
		if (errno == ENOENT)
			return true;
		snprintf(error, size, "could not read pidfile \"%s\": %s", path, strerror(errno));
		return false;
	}
	if (fscanf(file, "%ld", &pid) != 1 || pid <= 0)
	{
		fclose(file);
		snprintf(error, size, "pidfile \"%s\" holds no process id: remove it if no instance is running", path);
		return false;
	}
	fclose(file);
	if (kill((pid_t) pid, 0) == 0 || errno == EPERM)
	{
		snprintf(error, size, "pidfile \"%s\" exists and process %ld lives: another instance running?", path, pid);
		return false;
	}
	if (unlink(path) != 0)
	{
		snprintf(error, size, "could not remove stale pidfile \"%s\": %s", path, strerror(errno));
		return false;
	}
	return true;
}

bool
daemon_write_pidfile(const char *path, char *error, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long) getpid());
	bool ok = fd >= 0 && write(fd, text, (size_t) len) == len;

	if (!ok)
		snprintf(error, size, "could not write pidfile \"%s\": %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

bool
daemon_background(int *ready_fd, char *error, size_t size)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
	{
		snprintf(error, size, "could not go to the background: %s", strerror(errno));
		return false;
	}
	if (pid > 0)
	{
		char byte = 1;
		ssize_t n;

		close(ends[1]);
		do
			n = read(ends[0], &byte, 1);
		while (n < 0 && errno == EINTR);
		_exit(n == 1 && byte == 0 ? 0 : 1);
	}
	close(ends[0]);
	*ready_fd = ends[1];
	if (setsid() < 0)
	{
		snprintf(error, size, "could not go to the background: %s", strerror(errno));
		return false;
	}
	return true;
}

void
daemon_ready(int ready_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte = 0;

	if (null >= 0)
	{
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(ready_fd, &byte, 1) != 1)
	{
		/* the parent is gone: nobody waits */
	}
	close(ready_fd);
}

/* The memory of a daemon is full of secrets: passwords of the auth file, keys, what clients send. */
bool
daemon_keep_memory_out_of_core_dumps(void)
{
	/* ELF headers only: neither private nor shared, neither anonymous nor mapped memory */
	static const char headers_only[] = "0x10";
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, headers_only, strlen(headers_only)) == (ssize_t) strlen(headers_only);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* No process may have a higher limit. */
static long
most_descriptors(void)
{
	FILE *file = fopen("/proc/sys/fs/nr_open", "r");
	long most = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%ld", &most) != 1)
		most = 0;
	fclose(file);
	return most;
}

long
daemon_raise_descriptors(long wanted)
{
	struct rlimit limit;
	long most = most_descriptors();

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	if (most > 0 && wanted > most)
		wanted = most;
	if ((rlim_t) wanted <= limit.rlim_cur)
		return (long) limit.rlim_cur;
	if ((rlim_t) wanted > limit.rlim_max)
	{
		struct rlimit raised = {(rlim_t) wanted, (rlim_t) wanted};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return wanted;
		wanted = (long) limit.rlim_max;
	}
	limit.rlim_cur = (rlim_t) wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	return (long) limit.rlim_cur;
}

void
daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void) sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address,
				  (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}
