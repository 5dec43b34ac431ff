/*
 * main.c: the pgweir daemon: command line, start-up order, signals, reload, shutdown.
 *
 * It owns the configuration, the log, the loop, the worker, the listeners and the admin side, and joins them; it decides nothing about
 * clients or servers.
 */
#include <ares.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "admin/averages.h"
#include "admin/console.h"
#include "admin/http.h"
#include "admin/reporter.h"
#include "config/config.h"
#include "daemon.h"
#include "listeners.h"
#include "session/session.h"
#include "takeover.h"

#define PGWEIR_VERSION "1.0.0"
/* worker_threads = 0 means no more than these. */
#define MOST_WORKERS 8
/* How long clients have to take the news that the process ends. */
#define LAST_WORDS_US (200 * USEC_PER_MSEC)
/* How often the workers are asked whether those that are waited for have gone. */
#define DRAIN_LOOK_US (5 * USEC_PER_MSEC)
/* Descriptors the process, and each worker, needs besides those of clients and servers. */
#define OTHER_DESCRIPTORS 64
#define WORKER_DESCRIPTORS 8

typedef struct Options
{
	const char *file;
	const char *user;
	bool daemon, quiet, check, reboot;
	int verbose;
} Options;

typedef struct Process
{
	Log log;
	Config *config;
	NetLoop *loop;
	Hall *hall;
	Console *console;
	Averages *averages;
	Reporter *reporter;
	Http *http; /* NULL = off */
	Listeners listeners;
	NetWatch signals;
	sigset_t signal_set;
	Timer look;		/* while shutting down */
	usec_t look_at;
	bool pidfile_written;
	long descriptors; /* their limit; -1 = not known */
	int predecessor; /* connection to the process whose place this one takes; -1 = none */
} Process;

/* --- command line --- */

static const char usage[] =
	"pgweir: a connection pooler for PostgreSQL that keeps deadlines\n"
	"Usage: pgweir [OPTION]... CONFIG_FILE\n"
	"  -d, --daemon         run in the background (needs pidfile and logfile)\n"
	"  -q, --quiet          no log on stderr\n"
	"  -v, --verbose        log more; repeat for more\n"
	"  -u, --user=NAME      switch to this user when started as root\n"
	"  -R, --reboot         take the sockets of the running process over; it ends when its clients have left\n"
	"      --check          read the configuration, list every problem, exit (0 = usable)\n"
	"      --list-settings  print all settings: section, key, type, default, reload, effect, help\n"
	"  -V, --version        print the version\n"
	"  -h, --help           print this\n";

enum
{
	OPTION_CHECK = 256,
	OPTION_LIST
};

/* The first line is that of SHOW VERSION; the second asks the kernel, as event_backend = auto does. */
static void
print_version(void)
{
	char why[160];
	bool works = net_uring_works(why, sizeof(why));

	printf("PgBouncer 1.25.2 (pgweir %s)\nevent loops: io_uring (liburing %s), epoll; ", PGWEIR_VERSION, PGWEIR_LIBURING);
	if (works)
		printf("auto takes io_uring here\n");
	else
		printf("auto takes epoll here, io_uring is refused: %s\n", why);
	printf("adns: c-ares %s\ntls: %s\nsystemd: yes\n", ares_version(NULL), OpenSSL_version(OPENSSL_VERSION));
}

static void
parse_options(int argc, char **argv, Options *options)
{
	static const struct option names[] = {
		{"daemon", no_argument, NULL, 'd'},	 {"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'}, {"user", required_argument, NULL, 'u'},
		{"reboot", no_argument, NULL, 'R'},	 {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	 {"check", no_argument, NULL, OPTION_CHECK},
		{"list-settings", no_argument, NULL, OPTION_LIST},
		{NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "dqvu:RVh", names, NULL)) != -1)
		switch (c)
		{
			case 'd': options->daemon = true; break;
			case 'q': options->quiet = true; break;
			case 'v': options->verbose++; break;
			case 'u': options->user = optarg; break;
			case 'R': options->reboot = true; break;
			case OPTION_CHECK: options->check = true; break;
			case OPTION_LIST: config_list(stdout); exit(0);
			case 'V': print_version(); exit(0);
			case 'h': fputs(usage, stdout); exit(0);
			default: fputs("Try \"pgweir --help\".\n", stderr); exit(1);
		}
	if (optind != argc - 1)
	{
		fprintf(stderr, "pgweir: exactly one configuration file is needed\nTry \"pgweir --help\".\n");
		exit(1);
	}
	options->file = argv[optind];
}

/* --- start --- */

static void die(Process *process, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

static void
die(Process *process, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(&process->log, LOG_LEVEL_FATAL, "", format, args);
	va_end(args);
	if (process->pidfile_written)
		unlink(process->config->process.pidfile);
	exit(1);
}

static void
log_problems(Process *process, const ConfigProblems *problems)
{
	for (int i = 0; i < problems->count; i++)
	{
		LogLevel level = problems->items[i].level == PROBLEM_ERROR	   ? LOG_LEVEL_ERROR
						 : problems->items[i].level == PROBLEM_WARNING ? LOG_LEVEL_WARNING
																	   : LOG_LEVEL_LOG;

		log_write(&process->log, level, "%s", problems->items[i].text);
	}
}

static void
apply_log_settings(Process *process)
{
	const ProcessOptions *options = &process->config->process;

	process->log.verbose = options->verbose;
	if (!log_open_file(&process->log, options->logfile))
		log_write(&process->log, LOG_LEVEL_ERROR, "could not open log file \"%s\": %s", options->logfile, strerror(errno));
	process->log.to_syslog = false;
	if (options->syslog && !log_open_syslog(&process->log, options->syslog_ident, options->syslog_facility))
		log_write(&process->log, LOG_LEVEL_ERROR, "could not open syslog");
}

static void
load_config(Process *process, const Options *options)
{
	ConfigProblems problems = {0};
	ConfigOverrides overrides = {.user = options->user, .verbose = options->verbose};

	process->config = config_load(options->file, &overrides, &problems);
	log_problems(process, &problems);
	problems_free(&problems);
	if (process->config == NULL)
		die(process, "cannot load config file");
}

static int
workers_wanted(const Process *process)
{
	int wanted = process->config->process.worker_threads;
	cpu_set_t allowed;
	int cores;

	if (wanted > 0)
		return wanted;
	/* those of the machine that this process may use (taskset, AllowedCPUs); more than fit into a cpu_set_t are an error, and many */
	cores = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : MOST_WORKERS;
	return cores > MOST_WORKERS ? MOST_WORKERS : cores;
}

/* Descriptors that the pools may need. */
static long
server_descriptors(const Settings *settings)
{
	return (long) settings->default_pool_size * (settings->database_count > 0 ? settings->database_count : 1);
}

/* ... and neither clients nor servers. */
static long
other_descriptors(const Process *process)
{
	return OTHER_DESCRIPTORS + WORKER_DESCRIPTORS * workers_wanted(process);
}

static long
descriptors_wanted(const Process *process)
{
	const Settings *settings = process->config->settings;

	return settings->max_client_conn + server_descriptors(settings) + other_descriptors(process);
}

/*
 * max_client_conn is a promise: say at once if the limit of descriptors cannot keep it.  More clients than it has room for are turned away rather
 * than left waiting to be accepted, and leave some to the pools.
 */
static void
note_descriptors(Process *process)
{
	const Settings *settings = process->config->settings;
	long servers = server_descriptors(settings);
	long wanted = descriptors_wanted(process);
	long have = process->descriptors;
	long room = have - other_descriptors(process) - (servers < have / 4 ? servers : have / 4);

	if (have >= 0)
		process->hall->client_room = room < 1 ? 1 : room > INT_MAX ? INT_MAX : (int) room;
	log_write(&process->log, LOG_LEVEL_LOG, "kernel file descriptor limit: %ld; max_client_conn: %d, max expected fd use: %ld", have,
			  settings->max_client_conn, wanted);
	if (have >= 0 && have < wanted)
		log_write(&process->log, LOG_LEVEL_WARNING,
				  "the limit of open files is %ld, but max_client_conn = %d and the pools may need %ld: raise it (ulimit -n, LimitNOFILE=, "
				  "and fs.nr_open), or lower max_client_conn; no more than %d clients are let in",
				  have, settings->max_client_conn, wanted, process->hall->client_room);
}

/* --- listening --- */

static void
on_accept(NetListener *listener, int fd, const NetPeer *peer)
{
	Process *process = listener->owner;

	hall_accept(process->hall, fd, peer);
}

static void
start_listening(Process *process)
{
	ListenersOptions options = {.loop = process->loop, .log = &process->log, .config = process->config,
								.on_accept = on_accept, .owner = process};
	char error[400];

	if (!listeners_open(&process->listeners, &options, error, sizeof(error)))
		die(process, "%s", error);
}

static void
start_http(Process *process, bool must)
{
	const char *address = process->config->process.http_listen;
	char host[256];
	char error[300];
	int port;

	if (!config_http_address(address, host, sizeof(host), &port))
		return; /* it is empty: anything else wrong was refused when it was read */
	process->http = http_create(process->hall->workers[0], host, port, error, sizeof(error));
	if (process->http == NULL && must)
		die(process, "could not listen on %s for HTTP (http_listen): %s", address, error);
	if (process->http == NULL)
		log_write(&process->log, LOG_LEVEL_ERROR, "could not listen on %s for HTTP (http_listen): %s", address, error);
	else
		log_write(&process->log, LOG_LEVEL_LOG, "listening on %s for HTTP: /healthz, /readyz, /metrics, /json", http_address(process->http));
}

/* --- reload and set --- */

static void
change_config(Process *process, Config *fresh)
{
	Config *old = process->config;

	hall_park(process->hall);
	process->config = fresh;
	hall_apply_settings(process->hall, fresh->settings);
	averages_settings_changed(process->averages);
	reporter_settings_changed(process->reporter);
	listeners_apply(&process->listeners, fresh);
	config_free(old);
	apply_log_settings(process);
	hall_unpark(process->hall);
}

static bool
reload(void *arg, char *error, size_t size)
{
	Process *process = arg;
	ConfigProblems problems = {0};
	Config *fresh;
	char state[80];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
			 (long long) now.tv_sec * 1000000 + now.tv_nsec / 1000);
	daemon_notify(state);
	fresh = config_reload(process->config, &problems);
	log_problems(process, &problems);
	if (fresh == NULL)
	{
		snprintf(error, size, "%s", problems_first_error(&problems));
		log_write(&process->log, LOG_LEVEL_WARNING, "config file loading failed, the old configuration stays in use");
	}
	else
		change_config(process, fresh);
	problems_free(&problems);
	daemon_notify("READY=1");
	return fresh != NULL;
}

static bool
set_key(void *arg, const char *key, const char *value, char *error, size_t size)
{
	Process *process = arg;
	Config *fresh = config_set(process->config, key, value, error, size);

	if (fresh == NULL)
		return false;
	change_config(process, fresh);
	return true;
}

static const NetListener *
listening_sockets(void *arg, int *count)
{
	Process *process = arg;

	*count = process->listeners.count;
	return process->listeners.items;
}

static const Config *
current_config(void *arg)
{
	return ((Process *) arg)->config;
}

/* --- shutdown and signals --- */

static void
shutdown_to(void *arg, WorkerPhase phase)
{
	Process *process = arg;

	daemon_notify("STOPPING=1");
	listeners_close(&process->listeners, phase == WORKER_STOPPED);
	hall_park(process->hall);
	hall_shutdown(process->hall, phase);
	hall_unpark(process->hall);
	if (phase == WORKER_STOPPED)
		net_loop_stop(process->loop);
}

/* Another process has taken the sockets over, and the pidfile with them. */
static void
hand_over(void *arg)
{
	Process *process = arg;

	log_write(&process->log, LOG_LEVEL_LOG, "another process has taken over, waiting for all clients to disconnect");
	process->pidfile_written = false;
	listeners_let_go(&process->listeners);
	http_stop(process->http);
	hall_park(process->hall);
	process->hall->handed_over = true;
	hall_shutdown(process->hall, WORKER_DRAIN_CLIENTS);
	hall_unpark(process->hall);
}

static void
soft_shutdown(Process *process, const char *signal_name, WorkerPhase phase)
{
	if (process->hall->phase != WORKER_RUNNING)
	{
		log_write(&process->log, LOG_LEVEL_LOG, "got %s while shutting down, fast exit", signal_name);
		shutdown_to(process, WORKER_STOPPED);
		return;
	}
	log_write(&process->log, LOG_LEVEL_LOG, "got %s, shutting down, waiting for all %s", signal_name,
			  phase == WORKER_DRAIN_CLIENTS ? "clients disconnect" : "servers connections to be released");
	shutdown_to(process, phase);
}

static void
pause_all(Process *process)
{
	Hall *hall = process->hall;

	if (hall->paused || hall->suspended || hall->phase != WORKER_RUNNING)
	{
		log_write(&process->log, LOG_LEVEL_LOG, "got SIGUSR1, but already paused/suspended");
		return;
	}
	log_write(&process->log, LOG_LEVEL_LOG, "got SIGUSR1, pausing all activity");
	hall_park(hall);
	hall_pause(hall, NULL);
	hall_unpark(hall);
}

static void
resume_all(Process *process)
{
	Hall *hall = process->hall;

	if (hall->phase != WORKER_RUNNING)
	{
		log_write(&process->log, LOG_LEVEL_LOG, "got SIGUSR2 while shutting down, ignoring");
		return;
	}
	if (!hall->paused && !hall->suspended)
	{
		log_write(&process->log, LOG_LEVEL_LOG, "got SIGUSR2, but not paused/suspended");
		return;
	}
	log_write(&process->log, LOG_LEVEL_LOG, "got SIGUSR2, continuing from %s", hall->suspended ? "SUSPEND" : "PAUSE");
	hall_park(hall);
	if (hall->suspended)
		hall_unsuspend(hall);
	if (hall->paused)
		hall_resume(hall, NULL);
	hall_unpark(hall);
}

static void
on_signal(NetWatch *watch, bool readable, bool writable)
{
	Process *process = watch->owner;
	struct signalfd_siginfo info;
	char error[512];

	(void) readable;
	(void) writable;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
		switch (info.ssi_signo)
		{
			case SIGHUP:
				log_write(&process->log, LOG_LEVEL_LOG, "got SIGHUP, re-reading config");
				(void) reload(process, error, sizeof(error));
				break;
			case SIGTERM: soft_shutdown(process, "SIGTERM", WORKER_DRAIN_CLIENTS); break;
			case SIGINT: soft_shutdown(process, "SIGINT", WORKER_DRAIN_SERVERS); break;
			case SIGQUIT:
				log_write(&process->log, LOG_LEVEL_LOG, "got SIGQUIT, fast exit");
				shutdown_to(process, WORKER_STOPPED);
				break;
			case SIGUSR1:
				pause_all(process);
				break;
			case SIGUSR2:
				resume_all(process);
				break;
		}
}

static void
watch_signals(Process *process)
{
	int fd = signalfd(-1, &process->signal_set, SFD_NONBLOCK | SFD_CLOEXEC);

	process->signals.owner = process;
	process->signals.on_ready = on_signal;
	if (fd < 0 || !net_watch(process->loop, &process->signals, fd, true, false))
		die(process, "could not watch signals: %s", strerror(errno));
}

/* Not at each turn, since all workers must stop for it and all pools are looked at; but also when nothing happens here. */
static void
look_if_drained(Process *process, usec_t now)
{
	bool drained;

	hall_park(process->hall);
	drained = hall_is_drained(process->hall);
	hall_unpark(process->hall);
	if (drained)
	{
		log_write(&process->log, LOG_LEVEL_LOG, "%s connections dropped, exiting",
				  process->hall->phase == WORKER_DRAIN_CLIENTS ? "client" : "server");
		net_loop_stop(process->loop);
	}
	else
	{
		process->look_at = now + DRAIN_LOOK_US;
		timer_arm(net_timers(process->loop), &process->look, process->look_at);
	}
}

/* That the loop turns is all. */
static void
on_look(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
}

/* Once per turn of the loop: has something that was waited for come about? */
static void
on_turn(void *arg, usec_t now)
{
	Process *process = arg;

	worker_turn(process->hall->workers[0]);
	console_tick(process->console);
	if (process->hall->phase != WORKER_RUNNING && now >= process->look_at)
		look_if_drained(process, now);
}

/* --- the whole --- */

static NetBackend
choose_backend(Process *process)
{
	NetBackend wanted = (NetBackend) process->config->process.event_backend;
	char why[160];

	if (wanted == NET_BACKEND_EPOLL)
		return NET_BACKEND_EPOLL;
	if (net_uring_works(why, sizeof(why)))
	{
		log_write(&process->log, LOG_LEVEL_LOG, "using io_uring");
		return NET_BACKEND_URING;
	}
	if (wanted == NET_BACKEND_URING)
		die(process, "event_backend = io_uring: io_uring is refused: %s; auto or epoll would do without", why);
	log_write(&process->log, LOG_LEVEL_LOG, "event_backend = auto: using epoll, io_uring is refused: %s", why);
	return NET_BACKEND_EPOLL;
}

static void
build(Process *process)
{
	NetLoopOptions loop_options = {.log = &process->log, .backend = choose_backend(process)};
	HallOptions options;
	ConsoleOptions console_options;
	Worker *worker;

	process->loop = net_loop_create(&loop_options);
	if (process->loop == NULL)
		die(process, "could not create the event loop: %s", strerror(errno));
	options = (HallOptions){.loop = process->loop, .log = &process->log, .settings = process->config->settings,
							.version = PGWEIR_VERSION, .workers = workers_wanted(process), .backend = loop_options.backend};
	process->hall = hall_create(&options);
	if (process->hall == NULL)
		die(process, "out of memory");
	worker = process->hall->workers[0];
	process->look.fire = on_look;
	process->averages = averages_create(worker);
	process->reporter = reporter_create(worker);
	console_options = (ConsoleOptions){.worker = worker, .averages = process->averages,
									   .reporter = process->reporter, .version = PGWEIR_VERSION, .reload = reload, .set = set_key,
									   .config = current_config, .shutdown = shutdown_to,
									   .listeners = listening_sockets, .hand_over = hand_over, .arg = process};
	process->console = console_create(&console_options);
	if (process->averages == NULL || process->reporter == NULL || process->console == NULL)
		die(process, "out of memory");
	process->hall->console = console_ops(process->console);
	net_loop_on_turn(process->loop, on_turn, process);
	if (!hall_start(process->hall))
		die(process, "could not start %d workers: %s", options.workers, strerror(errno));
}

static void
destroy(Process *process)
{
	listeners_close(&process->listeners, true);
	reporter_free(process->reporter);
	http_stop(process->http);
	hall_park(process->hall);
	hall_close_all(process->hall);
	hall_unpark(process->hall);
	net_loop_on_turn(process->loop, NULL, NULL);
	hall_stop(process->hall, LAST_WORDS_US);
	http_free(process->http);
	console_free(process->console);
	averages_free(process->averages);
	hall_free(process->hall);
	net_unwatch(&process->signals);
	close(process->signals.fd);
	net_loop_free(process->loop);
	if (process->pidfile_written)
		unlink(process->config->process.pidfile);
	config_free(process->config);
}

/* -R */
static void
take_over(Process *process)
{
	char error[300];

	if (process->listeners.from_systemd)
		die(process, "-R cannot be used with sockets of systemd");
	switch (takeover_begin(&process->listeners, process->config, &process->predecessor, error, sizeof(error)))
	{
		case TAKEOVER_DONE: break;
		case TAKEOVER_NOBODY:
			log_write(&process->log, LOG_LEVEL_LOG, "old process not found, starting as usual");
			break;
		case TAKEOVER_FAILED: die(process, "%s", error);
	}
}

/* The sockets are served here: the process before is not needed any more. */
static void
relieve(Process *process)
{
	char error[300];

	if (process->predecessor < 0)
		return;
	if (!takeover_finish(process->predecessor, error, sizeof(error)))
		die(process, "%s", error);
	process->predecessor = -1;
	if (process->config->process.pidfile[0] != '\0')
		unlink(process->config->process.pidfile);
}

static void
become_daemon(Process *process, const Options *options, int *ready_fd)
{
	const ProcessOptions *po = &process->config->process;
	char error[300];

	if (po->user != NULL && po->user[0] != '\0' && geteuid() == 0 && !daemon_switch_user(po->user, error, sizeof(error)))
		die(process, "%s", error);
	if (geteuid() == 0)
		die(process, "pgweir should not run as root: give a user with -u or the setting user");
	if (options->daemon && (po->pidfile[0] == '\0' || (po->logfile[0] == '\0' && !po->syslog)))
		die(process, "daemon mode needs pidfile and logfile (or syslog)");
	if (options->reboot)
		take_over(process);
	if (process->predecessor < 0 && listeners_unix_in_use(&process->listeners, process->config))
		die(process, "unix socket is in use, cannot continue");
	if (process->predecessor < 0 && po->pidfile[0] != '\0' && !daemon_check_pidfile(po->pidfile, error, sizeof(error)))
		die(process, "%s", error);
	apply_log_settings(process);
	if (po->user != NULL && po->user[0] != '\0')
		log_write(&process->log, LOG_LEVEL_LOG, "running as user %s (%ld)", po->user, (long) geteuid());
	if (options->daemon && !daemon_background(ready_fd, error, sizeof(error)))
		die(process, "%s", error);
}

/* After a takeover systemd must learn which process is the main one now. */
static void
notify_ready(void)
{
	char state[60];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%ld", (long) getpid());
	daemon_notify(state);
}

/* Clients may have been lost with what the loop was to tell, so nothing is brought to an orderly end: who started the process shall start it again. */
static void
break_down(Process *process, int error)
{
	log_write(&process->log, LOG_LEVEL_FATAL, "the event loop failed: %s", strerror(error));
	if (process->pidfile_written)
		unlink(process->config->process.pidfile);
	_exit(1);
}

int
main(int argc, char **argv)
{
	Process process = {.predecessor = -1};
	Options options = {0};
	int ready_fd = -1;
	bool took_over;
	char error[300];

	parse_options(argc, argv, &options);
	if (options.check)
		return config_check(options.file, stdout) ? 0 : 1;
	listeners_inherit(&process.listeners);
	log_init(&process.log);
	load_config(&process, &options);
	if (options.quiet)
		process.log.to_stderr = false;
	/* before another user is taken: what is below /proc/self is root's after that */
	if (!process.config->process.core_dump_memory && !daemon_keep_memory_out_of_core_dumps())
		log_write(&process.log, LOG_LEVEL_WARNING, "core dumps may hold secrets: could not write /proc/self/coredump_filter");
	process.descriptors = daemon_raise_descriptors(descriptors_wanted(&process));
	become_daemon(&process, &options, &ready_fd);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&process.signal_set);
	for (size_t i = 0; i < 6; i++)
		sigaddset(&process.signal_set, (int[]){SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2}[i]);
	sigprocmask(SIG_BLOCK, &process.signal_set, NULL);
	build(&process);
	note_descriptors(&process);
	took_over = process.predecessor >= 0;
	if (!took_over)
		start_http(&process, true);
	start_listening(&process);
	relieve(&process);
	if (took_over)
		start_http(&process, false); /* its address is free only now; clients matter more */
	if (process.config->process.pidfile[0] != '\0')
	{
		if (!daemon_write_pidfile(process.config->process.pidfile, error, sizeof(error)))
			die(&process, "%s", error);
		process.pidfile_written = true;
	}
	watch_signals(&process);
	log_write(&process.log, LOG_LEVEL_LOG, "process up: pgweir %s (PgBouncer 1.25.2 compatible), worker threads: %d", PGWEIR_VERSION,
			  process.hall->worker_count);
	if (ready_fd >= 0)
	{
		process.log.to_stderr = false;
		daemon_ready(ready_fd);
	}
	notify_ready();
	if (!net_loop_run(process.loop))
		break_down(&process, errno);
	log_write(&process.log, LOG_LEVEL_LOG, "process going down");
	destroy(&process);
	log_close(&process.log);
	return 0;
}
