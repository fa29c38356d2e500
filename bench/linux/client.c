/*
 * Linux's init for the comparison: it loads the TEE driver, starts tee-supplicant, measures what bench/optee-figures.js
 * measures through normalworld, and prints "@key value" lines on the console.
 */
#include <fcntl.h>
#include <linux/tee.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static const uint8_t invoke_tests_pta[] = { 0xd9, 0x6a, 0x5b, 0x40, 0xc3, 0xe5, 0x21, 0xe3, 0x87, 0x94, 0x10, 0x02, 0xa5, 0xd5, 0xc6, 0x1b };
static const uint8_t os_test[] = { 0x5b, 0x9e, 0x0e, 0x40, 0x26, 0x36, 0x11, 0xe1, 0xad, 0x9e, 0x00, 0x02, 0xa5, 0xd5, 0xc5, 0x1b };
static const uint8_t sims[] = { 0xe6, 0xa3, 0x3e, 0xd4, 0x56, 0x2b, 0x46, 0x3a, 0xbb, 0x7e, 0xff, 0x5e, 0x15, 0xa4, 0x93, 0xc8 };

enum { INOUT = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT, OUTPUT = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_OUTPUT,
       INPUT = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT };

static int measure_seconds = 2;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int open_context(void)
{
	int fd = open("/dev/tee0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/tee0");
	return fd;
}

/* Returns the session, or -1 if the TEE refuses. */
static int64_t open_session(int fd, const uint8_t *uuid)
{
	struct tee_ioctl_open_session_arg arg = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, sizeof(arg) };

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	if (ioctl(fd, TEE_IOC_OPEN_SESSION, &data))
		fail("open session");
	return arg.ret ? -1 : (int64_t)arg.session;
}

static void close_session(int fd, uint32_t session)
{
	struct tee_ioctl_close_session_arg arg = { session };

	if (ioctl(fd, TEE_IOC_CLOSE_SESSION, &arg))
		fail("close session");
}

static void invoke(int fd, uint32_t session, uint32_t command, uint64_t attr, uint64_t a)
{
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param param;
	} request = { { .func = command, .session = session, .num_params = 1 }, { attr, a, 0, 0 } };
	struct tee_ioctl_buf_data data = { (uintptr_t)&request, sizeof(request) };

	if (ioctl(fd, TEE_IOC_INVOKE, &data) || request.arg.ret)
		fail("invoke");
}

/* A client with a context and a session of its own, and the call that it repeats until the time is over. */
struct client {
	const uint8_t *uuid;
	uint32_t command;
	uint64_t attr, a;
	pthread_barrier_t *start;
	pthread_t thread;
	long calls;
	double *latency;	/* of each call, in ms */
};

#define MAX_CALLS 200000

static void *run_client(void *argument)
{
	struct client *client = argument;
	int fd = open_context();
	int64_t session = open_session(fd, client->uuid);
	double begin, end;

	if (session < 0)
		fail("session of a client");
	client->latency = malloc(MAX_CALLS * sizeof(double));
	pthread_barrier_wait(client->start);
	end = now_ms() + measure_seconds * 1e3;
	while ((begin = now_ms()) < end && client->calls < MAX_CALLS) {
		invoke(fd, session, client->command, client->attr, client->a);
		client->latency[client->calls++] = now_ms() - begin;
	}
	close_session(fd, session);
	close(fd);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static void run_clients(const char *key, int count, struct client each, int latencies)
{
	struct client clients[8];
	pthread_barrier_t start;
	double *all = malloc(sizeof(double) * MAX_CALLS * 8);
	long calls = 0;

	pthread_barrier_init(&start, NULL, count);
	for (int i = 0; i < count; i++) {
		clients[i] = each;
		clients[i].start = &start;
		pthread_create(&clients[i].thread, NULL, run_client, &clients[i]);
	}
	for (int i = 0; i < count; i++) {
		pthread_join(clients[i].thread, NULL);
		memcpy(all + calls, clients[i].latency, clients[i].calls * sizeof(double));
		calls += clients[i].calls;
		free(clients[i].latency);
	}
	if (latencies) {
		qsort(all, calls, sizeof(double), compare);
		printf("@%sP50Ms %.3f\n@%sP99Ms %.3f\n@%sMaxMs %.3f\n", key, all[calls / 2], key, all[calls * 99 / 100],
		       key, all[calls - 1]);
	} else {
		printf("@%s %.1f\n", key, (double)calls / measure_seconds);
	}
	free(all);
}

static void open_and_close(void)
{
	int fd = open_context();
	int64_t keep = open_session(fd, sims);
	double end = now_ms() + measure_seconds * 1e3;
	long pairs = 0;

	if (keep < 0)
		fail("open SIMS");
	for (; now_ms() < end; pairs++)
		close_session(fd, open_session(fd, sims));
	printf("@openClosePerSecond %.1f\n", (double)pairs / measure_seconds);
	close_session(fd, keep);
	close(fd);
}

/*
 * Random calls on the test pseudo-TA, with the same distribution as bench/fuzz.js: commands that return soon, up to
 * four parameters of any types. Calls that the TEE refuses count.
 */
static uint32_t drawn = 1;

static uint32_t draw(uint32_t limit)
{
	drawn ^= drawn << 13;
	drawn ^= drawn >> 17;
	drawn ^= drawn << 5;
	return drawn % limit;
}

/* Number of parameter kinds: 4 are none and values, 7 also memory references. */
static void random_calls(int fd, const char *name, uint32_t kinds)
{
	struct tee_ioctl_shm_alloc_data memory = { .size = 4096 };
	int64_t session = open_session(fd, invoke_tests_pta);
	int shm = ioctl(fd, TEE_IOC_SHM_ALLOC, &memory);
	double end = now_ms() + measure_seconds * 1e3;
	long calls = 0;

	if (session < 0 || shm < 0)
		fail("random calls");
	for (; now_ms() < end; calls++) {
		struct {
			struct tee_ioctl_invoke_arg arg;
			struct tee_ioctl_param params[4];
		} request = { 0 };
		struct tee_ioctl_buf_data data = { (uintptr_t)&request, sizeof(request.arg) };
		uint32_t command = draw(16), count = draw(5);

		request.arg.func = command < 5 ? command : command + 8;
		request.arg.session = session;
		request.arg.num_params = count;
		data.buf_len += count * sizeof(struct tee_ioctl_param);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t kind = draw(kinds);

			if (kind == 0)
				continue;
			request.params[i].attr = kind < 4 ? kind : kind + 1;
			if (kind < 4) {
				request.params[i].a = draw(1 << 16);
				request.params[i].b = draw(1 << 16);
			} else {
				request.params[i].a = i * 1024;
				request.params[i].b = 1 + draw(256);
				request.params[i].c = memory.id;
			}
		}
		if (ioctl(fd, TEE_IOC_INVOKE, &data))
			fail("a random call");
	}
	printf("@%s %.1f\n", name, (double)calls / measure_seconds);
}

/*
 * The kernel's own trace of a short contention, which bench/linux/trace.js reads from the console: four clients wait in
 * a TA on the two threads of OP-TEE, and one opens a session with a TA that must be loaded.
 */
#define WAITERS 4
#define WAITS 3

static pthread_barrier_t traced;

static void set_trace(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail(file);
	close(fd);
}

static void *wait_traced(void *name)
{
	int fd = open_context();
	int64_t session = open_session(fd, os_test);

	if (session < 0)
		fail("session of a waiter");
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&traced);	/* all sessions are open */
	pthread_barrier_wait(&traced);	/* the trace is on */
	for (int i = 0; i < WAITS; i++)
		invoke(fd, session, 9, INPUT, 10);
	pthread_barrier_wait(&traced);	/* all are back */
	pthread_barrier_wait(&traced);	/* the trace is off */
	close_session(fd, session);
	close(fd);
	return NULL;
}

static void trace(void)
{
	static char names[WAITERS][16];
	pthread_t waiters[WAITERS];
	int fd = open_context();
	int64_t session;
	char line[512];
	FILE *recorded;

	mkdir("/tracing", 0755);
	if (mount("tracefs", "/tracing", "tracefs", 0, NULL))
		fail("tracefs");
	pthread_barrier_init(&traced, NULL, WAITERS + 1);
	for (int i = 0; i < WAITERS; i++) {
		sprintf(names[i], "waiter-%d", i + 1);
		pthread_create(&waiters[i], NULL, wait_traced, names[i]);
	}
	prctl(PR_SET_NAME, "opener");
	pthread_barrier_wait(&traced);
	set_trace("/tracing/events/optee/enable", "1");
	pthread_barrier_wait(&traced);
	session = open_session(fd, sims);
	if (session < 0)
		fail("open SIMS");
	pthread_barrier_wait(&traced);
	set_trace("/tracing/events/optee/enable", "0");
	pthread_barrier_wait(&traced);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(waiters[i], NULL);
	close_session(fd, session);
	close(fd);
	recorded = fopen("/tracing/trace", "r");
	if (!recorded)
		fail("/tracing/trace");
	while (fgets(line, sizeof(line), recorded))
		printf("@trace %s", line);
	fclose(recorded);
}

int main(int count, char **arguments)
{
	struct client pta = { .uuid = invoke_tests_pta, .command = 1, .attr = INOUT, .a = 1 };
	struct client user = { .uuid = os_test, .command = 18, .attr = OUTPUT };
	struct client wait = { .uuid = os_test, .command = 9, .attr = INPUT, .a = 10 };
	int fd;
	int64_t session;

	/* The kernel's command line contains the seconds per measurement, or the word that requests a trace. */
	int tracing = count > 1 && strcmp(arguments[1], "trace") == 0;

	if (count > 1 && !tracing)
		measure_seconds = atoi(arguments[1]);
	start_guest();
	fd = open_context();
	printf("@firstSmcMs\n");
	if (count > 2 && strcmp(arguments[2], "random") == 0) {
		random_calls(fd, "randomValueCallsPerSecond", 4);
		random_calls(fd, "randomCallsPerSecond", 7);
		printf("@done\n");
		for (;;)
			pause();
	}
	start_supplicant();
	/* Before the supplicant runs, the TEE finds no TA. */
	while ((session = open_session(fd, os_test)) < 0)
		usleep(1000);
	invoke(fd, session, 18, OUTPUT, 0);
	printf("@firstUserTaInvokeMs\n");
	if (tracing) {
		close_session(fd, session);
		trace();
		printf("@done\n");
		for (;;)
			pause();
	}
	run_clients("ptaInvokesPerSecond", 1, pta, 0);
	run_clients("userTaInvokesPerSecond", 1, user, 0);
	run_clients("ptaInvokesPerSecond4", 4, pta, 0);
	run_clients("userTaInvokesPerSecond4", 4, user, 0);
	open_and_close();
	measure_seconds *= 2;
	run_clients("wait", 8, wait, 1);
	printf("@done\n");
	for (;;)
		pause();
}
