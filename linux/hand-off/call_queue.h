/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hand-off call queue: who enters OP-TEE when its thread contexts are few.
 *
 * A drop-in for the queue of drivers/tee/optee/call.c. It keeps the names that the rest of the driver calls, and adds
 * two, for relief calls; see call_queue.c for how it works, and docs/upstream.md for why.
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
 * @relief:	the call goes before others, see optee_cq_wait_init_relief()
 * @exits_seen:	the queue's @exits when this call last got the right to enter
 */
struct optee_call_waiter {
	struct list_head list_node;
	struct completion c;
	bool sys_thread;
	bool relief;
	unsigned int exits_seen;
};

/* The classes of calls, in the order in which they get what has become free. */
enum optee_cq_class {
	OPTEE_CQ_SYS_RELIEF,
	OPTEE_CQ_RELIEF,
	OPTEE_CQ_SYS,
	OPTEE_CQ_NORMAL,
	OPTEE_CQ_CLASSES,
};

/**
 * struct optee_call_queue - tokens to enter OP-TEE, and who waits for one
 * @mutex:		serializes access to this struct
 * @waiters:		calls that sleep, by class, each in the order in which they get a token
 * @capacity:		threads that OP-TEE can have in use at once: what it announced, lowered when it proves to
 *			have fewer; OPTEE_CQ_UNKNOWN when it announced nothing and has refused nobody yet
 * @normal_in_flight:	tokens held by normal calls
 * @sys_in_flight:	tokens held by calls of system sessions
 * @relief_in_flight:	tokens held by relief calls, which are counted as none of the others
 * @sys_sessions:	system sessions, for all of which together one thread is kept in reserve
 * @exits:		counts the calls that have returned; wraps. Read without @mutex as well
 * @most_in_flight:	the most tokens that were held at once while @capacity is unknown
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

/* More threads than any OP-TEE has. */
#define OPTEE_CQ_UNKNOWN	0x3fffffff

/* Beside the functions that the driver declares. */
void optee_cq_keep_relief_thread(struct optee_call_queue *cq);
void optee_cq_wait_init_relief(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread);

#endif /* OPTEE_CALL_QUEUE_H */
