/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hand-off call queue: decides which calls may enter OP-TEE when there are more calls than thread contexts.
 *
 * A drop-in replacement for the queue of drivers/tee/optee/call.c. It keeps the functions that the driver calls, and
 * adds two for relief calls; see call_queue.c for how it works, and docs/upstream.md for why.
 */
#ifndef OPTEE_CALL_QUEUE_H
#define OPTEE_CALL_QUEUE_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

/**
 * struct optee_call_waiter - a call in the queue
 * @list_node:	on a list of the queue while the call sleeps, and only then
 * @c:		completed once for each sleep, together with the token
 * @sys_thread:	the call belongs to a system session
 * @relief:	the call goes before others, see optee_cq_wait_init_relief()
 * @exits_seen:	the queue's @exits when this call last was permitted to enter
 */
struct optee_call_waiter {
	struct list_head list_node;
	struct completion c;
	bool sys_thread;
	bool relief;
	unsigned int exits_seen;
};

/* The classes of calls, in the order in which they get a token that has become free. */
enum optee_cq_class {
	OPTEE_CQ_SYS_RELIEF,
	OPTEE_CQ_RELIEF,
	OPTEE_CQ_SYS,
	OPTEE_CQ_NORMAL,
	OPTEE_CQ_CLASSES,
};

/**
 * struct optee_call_queue - tokens for entering OP-TEE, and the calls that wait for one
 * @mutex:		serializes access to this struct
 * @waiters:		calls that sleep, by class, each in the order in which they get a token
 * @capacity:		number of threads that OP-TEE can use at once: the announced number, lowered if OP-TEE proves
 *			to have fewer; OPTEE_CQ_UNKNOWN if it announced none and has not refused a call yet
 * @normal_in_flight:	tokens held by normal calls
 * @sys_in_flight:	tokens held by calls of system sessions
 * @relief_in_flight:	tokens held by relief calls, not included in the other counters
 * @sys_sessions:	number of system sessions; one thread is reserved for all of them together
 * @exits:		number of calls that have returned; wraps. Also read without @mutex
 * @most_in_flight:	largest number of tokens held at once while @capacity is unknown
 * @keep_relief_thread:	one thread is kept for relief calls
 */
struct optee_call_queue {
	struct mutex mutex;
	struct list_head waiters[OPTEE_CQ_CLASSES];
	int capacity;
	int normal_in_flight;
	int sys_in_flight;
	int relief_in_flight;
	int sys_sessions;
	unsigned int exits;
	int most_in_flight;
	bool keep_relief_thread;
};

/* Larger than the number of threads of any OP-TEE. */
#define OPTEE_CQ_UNKNOWN	0x3fffffff

/* In addition to the functions that the driver declares. */
void optee_cq_keep_relief_thread(struct optee_call_queue *cq);
void optee_cq_wait_init_relief(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread);

#endif /* OPTEE_CALL_QUEUE_H */
