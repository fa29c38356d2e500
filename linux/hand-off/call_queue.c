// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hand-off call queue.
 *
 * A call needs a token to make its SMC. It either holds a token or sleeps; the lists contain only sleepers. A token
 * that becomes free is given to a sleeper in the same locked section. A woken call already has its token: it takes no
 * lock, does not check again and does not queue again. Therefore
 *
 *  - a wake-up cannot be lost by going to a call that is inside OP-TEE;
 *  - no call can take a thread between the wake-up of another call and its second check;
 *  - within a class, calls enter in the order of their arrival;
 *  - every operation takes constant time.
 *
 * If there is a system session, one thread is reserved for calls of system sessions. A running call of a system
 * session uses it: normal calls may then use all others.
 *
 * A relief call ends or wakes calls that are inside OP-TEE, or releases something that they may wait for, and waits for
 * none of them: a cancellation, a bottom half, the close of a session, the end of a registration. Behind those calls it
 * could wait for ever. It goes before all other calls, and cannot starve them, because each relief call follows from a
 * call that entered before it. One thread may be kept for relief calls; a running relief call uses it. The thread
 * reserved for system sessions is not available to other relief calls.
 *
 * OP-TEE can have fewer threads than it announced (one is held by an earlier boot stage, or by a call that never
 * ends), and over FF-A it announces none. It then answers ETHREAD_LIMIT to a call that has a token. If no call has
 * returned since that call's SMC, the number of other tokens is the number of threads, and the capacity is lowered to
 * it; otherwise there were fewer threads than the current maximum, and the capacity is lowered by one. It is never
 * lowered below the true number, so the number of refusals of a call is bounded.
 */
#include <linux/compiler.h>
#include <linux/delay.h>
#include <linux/minmax.h>

#include "optee_private.h"

/* If a call is refused while no other is inside, no call can wake it, so it tries again after this time. */
#define OPTEE_CQ_RETRY_MS	10

static int in_flight(const struct optee_call_queue *cq)
{
	return cq->normal_in_flight + cq->sys_in_flight + cq->relief_in_flight;
}

/* Threads that only relief calls may use. With a single thread none is kept, because no other call could run. */
static int for_relief(const struct optee_call_queue *cq)
{
	return cq->keep_relief_thread && cq->capacity > 1 ? 1 : 0;
}

/* Threads that calls outside of system sessions must leave free. One thread always remains for those calls. */
static int withheld(const struct optee_call_queue *cq)
{
	if (!cq->sys_sessions || cq->capacity - for_relief(cq) <= 1 || cq->sys_in_flight)
		return 0;
	return 1;
}

static bool has_room_for_relief(const struct optee_call_queue *cq, bool sys_thread)
{
	int usable = cq->capacity;

	/* The thread reserved for system sessions is not the thread kept for relief calls. */
	if (!sys_thread && cq->relief_in_flight >= for_relief(cq))
		usable -= withheld(cq);
	return in_flight(cq) < usable;
}

static bool has_room(const struct optee_call_queue *cq, bool sys_thread, bool relief)
{
	int usable = cq->capacity;

	if (relief)
		return has_room_for_relief(cq, sys_thread);
	if (!sys_thread)
		usable -= withheld(cq);
	/* Relief calls occupy the thread kept for them, or more if more of them are in flight. */
	return cq->normal_in_flight + cq->sys_in_flight + max(cq->relief_in_flight, for_relief(cq)) < usable;
}

/* A relief call of a system session does not count as using the thread reserved for system sessions. */
static int *tokens(struct optee_call_queue *cq, const struct optee_call_waiter *w)
{
	if (w->relief)
		return &cq->relief_in_flight;
	return w->sys_thread ? &cq->sys_in_flight : &cq->normal_in_flight;
}

static void give_token(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	++*tokens(cq, w);
	w->exits_seen = cq->exits;
	if (cq->capacity == OPTEE_CQ_UNKNOWN && in_flight(cq) > cq->most_in_flight)
		cq->most_in_flight = in_flight(cq);
}

static void take_token(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	--*tokens(cq, w);
}

static struct list_head *sleepers(struct optee_call_queue *cq, const struct optee_call_waiter *w)
{
	if (w->relief)
		return &cq->waiters[w->sys_thread ? OPTEE_CQ_SYS_RELIEF : OPTEE_CQ_RELIEF];
	return &cq->waiters[w->sys_thread ? OPTEE_CQ_SYS : OPTEE_CQ_NORMAL];
}

/*
 * Give the freed thread to the first class with a sleeper that may use it. A return, or the end of a system session,
 * makes room for at most one call, and before it there was no room for any sleeper.
 *
 * Return: the call that got the token, which the caller must complete after the section; NULL for none.
 */
static struct optee_call_waiter *hand_on(struct optee_call_queue *cq)
{
	struct optee_call_waiter *w;
	int class;

	for (class = 0; class < OPTEE_CQ_CLASSES; class++) {
		if (list_empty(&cq->waiters[class]))
			continue;
		w = list_first_entry(&cq->waiters[class], struct optee_call_waiter, list_node);
		if (!has_room(cq, w->sys_thread, w->relief))
			continue;
		list_del(&w->list_node);
		give_token(cq, w);
		return w;
	}
	return NULL;
}

/* @w sleeps until it is completed, so it still exists here; and it does not wake up to a locked mutex. */
static void unlock_and_wake(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	mutex_unlock(&cq->mutex);
	if (w)
		complete(&w->c);
}

/* Sleep until another call gives this one a token. */
static void sleep_until_token(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	wait_for_completion(&w->c);
	/* Updated directly before the SMC, so that fewer refusals count as older than a return. */
	w->exits_seen = READ_ONCE(cq->exits);
}

/**
 * optee_cq_init() - initialize a call queue
 * @cq:			the queue
 * @thread_count:	number of threads that OP-TEE announced, 0 if it announced none
 */
void optee_cq_init(struct optee_call_queue *cq, int thread_count)
{
	int class;

	mutex_init(&cq->mutex);
	for (class = 0; class < OPTEE_CQ_CLASSES; class++)
		INIT_LIST_HEAD(&cq->waiters[class]);
	cq->capacity = thread_count > 0 ? thread_count : OPTEE_CQ_UNKNOWN;
	cq->normal_in_flight = 0;
	cq->sys_in_flight = 0;
	cq->relief_in_flight = 0;
	cq->sys_sessions = 0;
	cq->exits = 0;
	cq->most_in_flight = 0;
	cq->keep_relief_thread = false;
}

/**
 * optee_cq_keep_relief_thread() - keep one thread for relief calls, if another one remains
 * @cq:	the queue, before its first call
 */
void optee_cq_keep_relief_thread(struct optee_call_queue *cq)
{
	cq->keep_relief_thread = true;
}

static void wait_for_entry(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	bool sleep = false;

	init_completion(&w->c);

	mutex_lock(&cq->mutex);
	/* A class only has sleepers while it has no room, so this call overtakes nobody. */
	if (has_room(cq, w->sys_thread, w->relief)) {
		give_token(cq, w);
	} else {
		list_add_tail(&w->list_node, sleepers(cq, w));
		sleep = true;
	}
	mutex_unlock(&cq->mutex);

	if (sleep)
		sleep_until_token(cq, w);
}

/**
 * optee_cq_wait_init() - wait for the right to enter OP-TEE
 * @cq:		the queue
 * @w:		the call, in the queue until optee_cq_wait_final()
 * @sys_thread:	the call belongs to a system session
 */
void optee_cq_wait_init(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread)
{
	w->sys_thread = sys_thread;
	w->relief = false;
	wait_for_entry(cq, w);
}

/**
 * optee_cq_wait_init_relief() - the same for a call that ends or wakes others, or releases what they may wait for
 * @cq:		the queue
 * @w:		the call, in the queue until optee_cq_wait_final()
 * @sys_thread:	the call belongs to a system session
 */
void optee_cq_wait_init_relief(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread)
{
	w->sys_thread = sys_thread;
	w->relief = true;
	wait_for_entry(cq, w);
}

/**
 * optee_cq_wait_for_completion() - OP-TEE answered ETHREAD_LIMIT: wait until the SMC can be repeated
 * @cq:	the queue
 * @w:	the call
 */
void optee_cq_wait_for_completion(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	bool answer_is_old, sleep = false, alone;
	int learnt;

	mutex_lock(&cq->mutex);
	answer_is_old = w->exits_seen != cq->exits;
	w->exits_seen = cq->exits;
	alone = in_flight(cq) == 1 && !answer_is_old;
	if (!alone) {
		if (answer_is_old)
			learnt = (cq->capacity == OPTEE_CQ_UNKNOWN ? cq->most_in_flight : cq->capacity) - 1;
		else
			learnt = in_flight(cq) - 1;
		/* Refused without any other call: OP-TEE lacks even one thread, which may be temporary. */
		if (learnt > 0)
			cq->capacity = learnt;
		if (in_flight(cq) > cq->capacity) {
			/*
			 * The call was the first of its class when it got its token, so it returns there and not
			 * behind later calls. All threads are in use, so there is none to give away.
			 */
			take_token(cq, w);
			list_add(&w->list_node, sleepers(cq, w));
			sleep = true;
		}
	}
	mutex_unlock(&cq->mutex);

	if (alone)
		msleep(OPTEE_CQ_RETRY_MS);
	else if (sleep)
		sleep_until_token(cq, w);
}

/**
 * optee_cq_wait_final() - the call has returned from OP-TEE and is complete
 * @cq:	the queue
 * @w:	the call, which leaves the queue
 */
void optee_cq_wait_final(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	mutex_lock(&cq->mutex);
	take_token(cq, w);
	WRITE_ONCE(cq->exits, cq->exits + 1);
	unlock_and_wake(cq, hand_on(cq));
}

/**
 * optee_cq_incr_sys_thread_count() - a session becomes a system session
 * @cq:	the queue
 *
 * Return: false if no thread can be reserved: OP-TEE has only one in addition to the one for relief calls, or has not
 * announced any.
 */
bool optee_cq_incr_sys_thread_count(struct optee_call_queue *cq)
{
	bool granted;

	mutex_lock(&cq->mutex);
	/* One thread must remain for normal calls in addition to the one for relief calls. */
	granted = cq->capacity - for_relief(cq) > 1 && cq->capacity != OPTEE_CQ_UNKNOWN;
	if (granted)
		cq->sys_sessions++;
	mutex_unlock(&cq->mutex);

	return granted;
}

/**
 * optee_cq_decr_sys_thread_count() - a system session closed
 * @cq:	the queue
 */
void optee_cq_decr_sys_thread_count(struct optee_call_queue *cq)
{
	mutex_lock(&cq->mutex);
	cq->sys_sessions--;
	unlock_and_wake(cq, hand_on(cq));
}
