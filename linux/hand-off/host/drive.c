/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs call_queue.c on the host, one step at a time: each caller is a coroutine that calls the queue's functions and
 * yields where the kernel would put it to sleep.
 *
 * Commands on standard input, one per line; each has an answer on standard output:
 *
 *	init THREADS KEEP	a new queue, KEEP 1: optee_cq_keep_relief_thread()
 *	enter CALLER SYSTEM RELIEF	optee_cq_wait_init() or optee_cq_wait_init_relief(), SYSTEM and RELIEF 0 or 1
 *	limit CALLER		optee_cq_wait_for_completion()
 *	resume CALLER		a caller that was completed continues
 *	leave CALLER		optee_cq_wait_final()
 *	reserve, release	optee_cq_incr_sys_thread_count(), optee_cq_decr_sys_thread_count()
 *
 * The answer: the result (call, sleep, pause, done, yes, no), then "seen EXITS" of the caller if it is meaningful,
 * then CAPACITY NORMAL SYSTEM RELIEF SESSIONS EXITS MOST, then the four lists in the order of service, as "| CALLER..."
 * with a + behind a completed caller.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <linux/delay.h>

#include "optee_private.h"

#define CALLERS		64
#define STACK_SIZE	65536

enum action { ENTER, LIMIT };

static struct optee_call_queue queue;
static ucontext_t driver;
static struct caller {
	struct optee_call_waiter waiter;
	ucontext_t context;
	char *stack;
	enum action action;
	bool system, relief;
	const char *stands;	/* NULL while it may make its SMC */
} callers[CALLERS], *running;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

void mutex_init(struct mutex *mutex)
{
	mutex->held = false;
}

void mutex_lock(struct mutex *mutex)
{
	if (mutex->held)
		fail("the mutex is locked twice");
	mutex->held = true;
}

void mutex_unlock(struct mutex *mutex)
{
	if (!mutex->held)
		fail("the mutex is unlocked without being locked");
	mutex->held = false;
}

static void stand(const char *why)
{
	if (queue.mutex.held)
		fail("a caller sleeps with the mutex held");
	running->stands = why;
	swapcontext(&running->context, &driver);
	running->stands = NULL;
}

/* Always yields once, so that the test decides when a completed caller continues. */
void wait_for_completion(struct completion *c)
{
	do
		stand("sleep");
	while (!c->done);
	c->done--;
}

void msleep(unsigned int milliseconds)
{
	if (milliseconds == 0)
		fail("a pause of nothing");
	stand("pause");
}

static void act(void)
{
	struct caller *self = running;

	if (self->action == ENTER && self->relief)
		optee_cq_wait_init_relief(&queue, &self->waiter, self->system);
	else if (self->action == ENTER)
		optee_cq_wait_init(&queue, &self->waiter, self->system);
	else
		optee_cq_wait_for_completion(&queue, &self->waiter);
	self->stands = NULL;
}

/* Run a caller until it sleeps or may make its SMC. */
static const char *run(struct caller *caller)
{
	running = caller;
	swapcontext(&driver, &caller->context);
	/* A pause ends when the caller makes its SMC again. */
	if (caller->stands && !strcmp(caller->stands, "pause")) {
		swapcontext(&driver, &caller->context);
		return caller->stands ? caller->stands : "pause";
	}
	return caller->stands ? caller->stands : "call";
}

static const char *start(struct caller *caller, enum action action)
{
	if (!caller->stack)
		caller->stack = malloc(STACK_SIZE);
	if (!caller->stack || getcontext(&caller->context))
		fail("no memory for a caller");
	caller->context.uc_stack.ss_sp = caller->stack;
	caller->context.uc_stack.ss_size = STACK_SIZE;
	caller->context.uc_link = &driver;
	caller->action = action;
	makecontext(&caller->context, act, 0);
	return run(caller);
}

static void print_list(struct list_head *head)
{
	int count = 0;

	printf(" |");
	for (struct list_head *node = head->next; node != head; node = node->next) {
		struct optee_call_waiter *waiter = list_entry(node, struct optee_call_waiter, list_node);
		struct caller *caller = list_entry(waiter, struct caller, waiter);

		if (++count > CALLERS)
			fail("a list has no end");
		printf(" %d%s", (int)(caller - callers), waiter->c.done ? "+" : "");
	}
}

static void answer(const char *what, const struct caller *caller)
{
	printf("%s ", what);
	if (caller)
		printf("seen %u ", caller->waiter.exits_seen);
	printf("%d %d %d %d %d %u %d", queue.capacity == OPTEE_CQ_UNKNOWN ? 0 : queue.capacity, queue.normal_in_flight,
	       queue.sys_in_flight, queue.relief_in_flight, queue.sys_sessions, queue.exits,
	       queue.capacity == OPTEE_CQ_UNKNOWN ? queue.most_in_flight : 0);
	for (int class = 0; class < OPTEE_CQ_CLASSES; class++)
		print_list(&queue.waiters[class]);
	printf("\n");
}

int main(void)
{
	char line[128], command[16];
	const char *what;

	while (fgets(line, sizeof(line), stdin)) {
		int first = 0, second = 0, third = 0;

		if (sscanf(line, "%15s %d %d %d", command, &first, &second, &third) < 1)
			fail("an empty command");
		if (!strcmp(command, "init")) {
			optee_cq_init(&queue, first);
			if (second)
				optee_cq_keep_relief_thread(&queue);
			answer("done", NULL);
			continue;
		}
		if (!strcmp(command, "reserve")) {
			answer(optee_cq_incr_sys_thread_count(&queue) ? "yes" : "no", NULL);
			continue;
		}
		if (!strcmp(command, "release")) {
			optee_cq_decr_sys_thread_count(&queue);
			answer("done", NULL);
			continue;
		}
		if (first < 0 || first >= CALLERS)
			fail("no such caller");
		if (!strcmp(command, "enter")) {
			callers[first].system = second;
			callers[first].relief = third;
			what = start(&callers[first], ENTER);
			/* The value that a sleeper saw is only meaningful once it has a token. */
			answer(what, strcmp(what, "sleep") ? &callers[first] : NULL);
		} else if (!strcmp(command, "limit")) {
			answer(start(&callers[first], LIMIT), &callers[first]);
		} else if (!strcmp(command, "resume")) {
			answer(run(&callers[first]), &callers[first]);
		} else if (!strcmp(command, "leave")) {
			optee_cq_wait_final(&queue, &callers[first].waiter);
			answer("done", NULL);
		} else {
			fail("an unknown command");
		}
	}
	return 0;
}
