/*
 * Linux's init for showing findings: executes the schedule in /schedule and prints the results.
 *
 *	caller NAME user|kernel UUID [cpu N] [fifo PRIORITY]	a client with a session, over /dev/tee0 or the kernel client
 *	system NAME			its session becomes a system session before the schedule begins
 *	without-driver			OP-TEE's driver is not loaded until `load`
 *	take-thread			before everything else, a thread context is lost
 *	at MS NAME ORDER		execute an order at this time, or when the caller has returned: one of the orders of
 *					tee_kernel_client.c; a user caller only has `invoke`; `cancel OTHER` cancels the call
 *					of a user caller; `repeat COUNT COMMAND A` invokes repeatedly
 *	at MS console | load | take-thread | return-thread | delay COMM MS
 *					a key is typed on OP-TEE's console; OP-TEE's driver is loaded; tee_kernel_client.c
 *					executes the others
 *	go-when-done NAME		a waiting plugin continues when this caller's first order is complete
 *	snapshot MS			when the trace ends and the stacks of sleeping tasks are taken; default: at the end
 *	end MS				the end of the schedule, even if some callers have not returned
 *
 * All sessions are open, and the system is idle, before time 0. Lines on the console: "@did LINE BEGIN END RESULT" for each
 * `at` (its line number from 1, milliseconds, 0 or an errno), "@still LINE BEGIN" for orders that have not returned at the
 * end, "@type" to request a key on OP-TEE's console, "@trace ..." for the kernel's tracepoints and the output of SysRq-w,
 * "@done".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/tee.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define SYSLOG_ACTION_READ_ALL	3
#define MAX_ACTORS	16
#define MAX_ACTIONS	32
/* Cancellation id of an actor's calls. */
#define CANCEL_ID(actor)	((uint32_t)((actor) - actors) + 1)

struct action {
	int line, at;
	char order[64];
	double begin, end;
	int result;
	enum { WAITING, BEGUN, DONE } state;
};

/* A caller, or an action of the schedule itself (console, load), which also has a thread. */
struct actor {
	char name[16], uuid[40];
	int kernel, system, fd, cpu, priority;
	uint32_t session;
	struct action actions[MAX_ACTIONS];
	int count;
	pthread_t thread;
};

static struct actor actors[MAX_ACTORS];
static int actor_count, end_ms = 10000, snapshot_ms = -1, with_driver = 1, first_thread_lost;
static struct actor *opens_gate;
static double start_ms;
static pthread_barrier_t ready;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void sleep_until(double ms)
{
	struct timespec t = { ms / 1000, (ms - 1000.0 * (long)(ms / 1000)) * 1e6 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

/* Whether an order is executed by the schedule itself and not by a caller. */
static int is_own_order(const char *word)
{
	static const char *const words[] = { "console", "load", "take-thread", "return-thread", "delay" };

	for (int i = 0; i < 5; i++)
		if (strcmp(word, words[i]) == 0)
			return 1;
	return 0;
}

static struct actor *actor_named(const char *name, int create)
{
	for (int i = 0; i < actor_count; i++)
		if (strcmp(actors[i].name, name) == 0)
			return &actors[i];
	if (!create || actor_count == MAX_ACTORS) {
		errno = EINVAL;
		fail(name);
	}
	snprintf(actors[actor_count].name, sizeof(actors->name), "%s", name);
	actors[actor_count].fd = actors[actor_count].cpu = -1;
	return &actors[actor_count++];
}

static void add_action(struct actor *actor, int line, int at, const char *order)
{
	struct action *action = &actor->actions[actor->count++];

	action->line = line;
	action->at = at;
	snprintf(action->order, sizeof(action->order), "%s", order);
}

static void read_line(int number, char *text)
{
	char name[16], kind[16], rest[64] = "";
	struct actor *actor;
	char *option;
	int at;

	if (sscanf(text, "caller %15s %15s", name, kind) == 2) {
		actor = actor_named(name, 1);
		actor->kernel = strcmp(kind, "kernel") == 0;
		sscanf(text, "caller %*s %*s %39s", actor->uuid);
		if ((option = strstr(text, " cpu ")))
			actor->cpu = atoi(option + 5);
		if ((option = strstr(text, " fifo ")))
			actor->priority = atoi(option + 6);
	} else if (sscanf(text, "system %15s", name) == 1) {
		actor_named(name, 0)->system = 1;
	} else if (strcmp(text, "without-driver") == 0) {
		with_driver = 0;
	} else if (strcmp(text, "take-thread") == 0) {
		first_thread_lost = 1;
	} else if (sscanf(text, "go-when-done %15s", name) == 1) {
		opens_gate = actor_named(name, 0);
	} else if (sscanf(text, "end %d", &end_ms) == 1 || sscanf(text, "snapshot %d", &snapshot_ms) == 1) {
	} else if (sscanf(text, "at %d %15s %63[^\n]", &at, name, rest) >= 2) {
		if (is_own_order(name))
			add_action(actor_named(name, 1), number, at, strstr(text, name));
		else
			add_action(actor_named(name, 0), number, at, rest);
	} else if (text[0] != 0 && text[0] != '#') {
		errno = EINVAL;
		fail(text);
	}
}

static void read_schedule(void)
{
	FILE *file = fopen("/schedule", "r");
	char line[128];

	if (!file)
		fail("/schedule");
	for (int number = 1; fgets(line, sizeof(line), file); number++) {
		line[strcspn(line, "\n")] = 0;
		read_line(number, line);
	}
	fclose(file);
}

/* Returns 0, or the errno of the order. */
static int order_kernel(int fd, const char *order)
{
	return write(fd, order, strlen(order)) < 0 ? errno : 0;
}

static void to_bytes(const char *hex, uint8_t *bytes)
{
	for (int i = 0; i < 16; i++)
		sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
}

static int open_user_session(struct actor *actor)
{
	struct tee_ioctl_open_session_arg arg = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, sizeof(arg) };

	to_bytes(actor->uuid, arg.uuid);
	if (ioctl(actor->fd, TEE_IOC_OPEN_SESSION, &data))
		return errno;
	actor->session = arg.session;
	return arg.ret ? EPROTO : 0;
}

static int invoke_as_user(struct actor *actor, uint32_t command, uint64_t a)
{
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param param;
	} request = {
		{ .func = command, .session = actor->session, .cancel_id = CANCEL_ID(actor), .num_params = 1 },
		{ TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT, a, 0, 0 },
	};
	struct tee_ioctl_buf_data data = { (uintptr_t)&request, sizeof(request) };

	if (ioctl(actor->fd, TEE_IOC_INVOKE, &data))
		return errno;
	return request.arg.ret ? EPROTO : 0;
}

static int cancel(struct actor *other)
{
	struct tee_ioctl_cancel_arg arg = { CANCEL_ID(other), other->session };

	return ioctl(other->fd, TEE_IOC_CANCEL, &arg) ? errno : 0;
}

static int carry_out(struct actor *actor, const char *order)
{
	char name[16], invocation[64];
	uint32_t command, count;
	unsigned long long a;

	if (strcmp(order, "console") == 0) {
		printf("@type\n");
		return 0;
	}
	if (strcmp(order, "load") == 0) {
		load_driver();
		return 0;
	}
	if (sscanf(order, "cancel %15s", name) == 1)
		return cancel(actor_named(name, 0));
	if (sscanf(order, "repeat %u %u %llu", &count, &command, &a) == 3) {
		int result = 0;

		snprintf(invocation, sizeof(invocation), "invoke %u %llu", command, a);
		while (count-- > 0 && !result)
			result = carry_out(actor, invocation);
		return result;
	}
	if (actor->kernel || actor->uuid[0] == 0)
		return order_kernel(actor->fd, order);
	if (sscanf(order, "invoke %u %llu", &command, &a) == 2)
		return invoke_as_user(actor, command, a);
	return EINVAL;
}

static void open_actor(struct actor *actor)
{
	char order[48];
	int error = 0;

	if (actor->uuid[0] == 0) {
		actor->fd = open("/dev/tee_kernel_client", O_RDWR);
		return;
	}
	actor->fd = open(actor->kernel ? "/dev/tee_kernel_client" : "/dev/tee0", O_RDWR);
	if (actor->fd < 0)
		fail(actor->name);
	snprintf(order, sizeof(order), "open %s", actor->uuid);
	/* Before the supplicant runs, the TEE finds no TA. */
	for (int tries = 0; tries < 2000; tries++, usleep(5000)) {
		error = actor->kernel ? order_kernel(actor->fd, order) : open_user_session(actor);
		if (error != EPROTO)
			break;
	}
	if (!error && actor->system)
		error = order_kernel(actor->fd, "system");
	if (error) {
		errno = error;
		fail(actor->name);
	}
}

static void place(const struct actor *actor)
{
	struct sched_param priority = { actor->priority };
	cpu_set_t cpus;

	if (actor->cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(actor->cpu, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	if (actor->priority > 0 && sched_setscheduler(0, SCHED_FIFO, &priority))
		fail("SCHED_FIFO");
}

static void *run_actor(void *argument)
{
	struct actor *actor = argument;

	prctl(PR_SET_NAME, actor->name);
	/*
	 * A delayed caller keeps its CPU, which is never the first one; the schedule's own actions must not be blocked by it.
	 */
	if (actor->uuid[0] == 0)
		actor->cpu = 0;
	place(actor);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);
	for (int i = 0; i < actor->count; i++) {
		struct action *action = &actor->actions[i];

		sleep_until(start_ms + action->at);
		action->begin = now_ms() - start_ms;
		action->state = BEGUN;
		action->result = carry_out(actor, action->order);
		action->end = now_ms() - start_ms;
		__atomic_store_n(&action->state, DONE, __ATOMIC_RELEASE);
		if (actor == opens_gate && i == 0)
			write_file("/tmp/gate", "");
	}
	return NULL;
}

static long notifications(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	long first, second, count = 0;
	char line[512];

	if (!file)
		fail("/proc/interrupts");
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "optee_notif") && sscanf(line, " %*[^:]: %ld %ld", &first, &second) == 2)
			count += first + second;
	fclose(file);
	return count;
}

/*
 * Debian's OP-TEE has a timer that requests a bottom half every second, which is one more call in the queue for a
 * moment. Begin the schedule directly after one, so that the next one is a second away.
 */
static void wait_for_notification(void)
{
	long before = notifications();

	for (int tries = 0; tries < 500 && notifications() == before; tries++)
		usleep(5000);
	usleep(20000);
}

static void set_trace(const char *value)
{
	write_file("/tracing/events/optee/enable", value);
}

/* The record that users of a hanging board are asked for: the tracepoints, and SysRq-w. */
static void print_snapshot(void)
{
	static char log[1 << 18];
	FILE *recorded;
	char line[512];
	int size;

	set_trace("0");
	write_file("/proc/sysrq-trigger", "w");
	recorded = fopen("/tracing/trace", "r");
	if (!recorded)
		fail("/tracing/trace");
	while (fgets(line, sizeof(line), recorded))
		printf("@trace %s", line);
	fclose(recorded);
	size = klogctl(SYSLOG_ACTION_READ_ALL, log, sizeof(log) - 1);
	log[size > 0 ? size : 0] = 0;
	for (char *each = strtok(log, "\n"); each; each = strtok(NULL, "\n"))
		printf("@trace %s\n", each);
}

static void prepare(void)
{
	int fd;

	start_guest_without_driver();
	if (load_module("/tee_kernel_client.ko"))
		fail("/tee_kernel_client.ko");
	mkdir("/tracing", 0755);
	if (mount("tracefs", "/tracing", "tracefs", 0, NULL))
		fail("tracefs");
	read_schedule();
	if (with_driver) {
		load_driver();
		start_supplicant();
	}
	fd = open("/dev/tee_kernel_client", O_RDWR);
	if (fd < 0)
		fail("/dev/tee_kernel_client");
	for (int i = 0; i < actor_count; i++)
		open_actor(&actors[i]);
	if (first_thread_lost && order_kernel(fd, "take-thread"))
		fail("take-thread");
	close(fd);
}

static void print_results(void)
{
	for (int i = 0; i < actor_count; i++)
		for (int k = 0; k < actors[i].count; k++) {
			struct action *action = &actors[i].actions[k];

			if (__atomic_load_n(&action->state, __ATOMIC_ACQUIRE) == DONE)
				printf("@did %d %.1f %.1f %d\n", action->line, action->begin, action->end, action->result);
			else if (action->state == BEGUN)
				printf("@still %d %.1f\n", action->line, action->begin);
		}
}

int main(void)
{
	prepare();
	pthread_barrier_init(&ready, NULL, actor_count + 1);
	for (int i = 0; i < actor_count; i++)
		pthread_create(&actors[i].thread, NULL, run_actor, &actors[i]);
	pthread_barrier_wait(&ready);	/* all are there */
	if (with_driver)
		set_trace("1");
	usleep(300000);
	if (with_driver)
		wait_for_notification();
	start_ms = now_ms();
	pthread_barrier_wait(&ready);
	sleep_until(start_ms + (snapshot_ms < 0 ? end_ms : snapshot_ms));
	if (with_driver)
		print_snapshot();
	sleep_until(start_ms + end_ms);
	print_results();
	printf("@done\n");
	for (;;)
		pause();
}
