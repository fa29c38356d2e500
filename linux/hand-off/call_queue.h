/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hand-off call queue: who enters OP-TEE when its thread contexts are few.
 *
 * A drop-in for the queue of drivers/tee/optee/call.c. It keeps the names that the rest of the driver calls; see
 * call_queue.c for how it works, and docs/upstream.md for why.
 */
#ifndef OPTEE_CALL_QUEUE_H
#define OPTEE_CALL_QUEUE_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

/**
 * struct optee_call_waiter - one call's place in the queue
 * @list_node:	on a list of the queue while the call sleeps, and only then
 * @c:		completed once for each sleep, together with the token
 * @sys_thread:	the call belongs to a system session
 * @exits_seen:	the queue's @exits when this call last got the right to enter
 */
struct optee_call_waiter {
	struct list_head list_node;
	struct completion c;
	bool sys_thread;
	unsigned int exits_seen;
};

/**
 * struct optee_call_queue - tokens to enter OP-TEE, and who waits for one
 * @mutex:		serializes access to this struct
 * @sys_waiters:	calls of system sessions that sleep, in the order in which they get a token
 * @normal_waiters:	all other calls that sleep, likewise
 * @capacity:		threads that OP-TEE can have in use at once: what it announced, lowered when it proves to
 *			have fewer; OPTEE_CQ_UNKNOWN when it announced nothing and has refused nobody yet
 * @normal_in_flight:	tokens held by normal calls
 * @sys_in_flight:	tokens held by calls of system sessions
 * @sys_sessions:	system sessions, for all of which together one thread is kept in reserve
 * @exits:		counts the calls that have returned; wraps
 * @most_in_flight:	the most tokens that were held at once while @capacity is unknown
 */
struct optee_call_queue {
	struct mutex mutex;
	struct list_head sys_waiters;
	struct list_head normal_waiters;
	int capacity;
	int normal_in_flight;
	int sys_in_flight;
	int sys_sessions;
	unsigned int exits;
	int most_in_flight;
};

/* More threads than any OP-TEE has. */
#define OPTEE_CQ_UNKNOWN	0x3fffffff

#endif /* OPTEE_CALL_QUEUE_H */
