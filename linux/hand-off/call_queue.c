// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hand-off call queue.
 *
 * A call needs a token to make its SMC. It holds one, or it sleeps; the lists hold only sleepers. A token that
 * becomes free is handed to a sleeper in the same locked section. A call that wakes has its token already: it takes
 * no lock, does not look again and does not queue again. So
 *
 *  - a wake-up cannot go to a call that is inside OP-TEE, and be lost;
 *  - nobody can take a thread between the wake-up of another and its second look;
 *  - within a class, calls enter in the order in which they came;
 *  - every operation costs the same whatever the number of waiters.
 *
 * With a system session, one thread is kept in reserve for calls of system sessions. A running call of a system
 * session is the use of that reserve: normal calls may then have the rest.
 *
 * A relief call ends or wakes calls that are inside OP-TEE, or gives back what they may wait for, and waits for none of
 * them: a cancellation, a bottom half, the end of a session or of a registration. Behind those calls it would wait for
 * ever. It goes before all others, and cannot starve them: each relief call is paid for by a call that went before it.
 * One thread may be kept for relief calls; one that runs is the use of it. What is kept for system sessions stays
 * theirs.
 *
 * OP-TEE can have fewer threads than it announced (one is held by an earlier boot stage, or by a call that never
 * ends), and over FF-A it announces none. It then answers ETHREAD_LIMIT to a call that has a token. If no call has
 * returned since that call's SMC, all tokens but its own are the threads that there are, and the capacity is lowered
 * to that; if one has, they were fewer than the most there can be, and it is lowered by one. It is never lowered
 * below the truth, and a call is refused only so many times.
 */
#include <linux/compiler.h>
#include <linux/delay.h>
#include <linux/minmax.h>

#include "optee_private.h"

/* A call that is refused while no other is inside can be woken by nobody: it tries again after this long. */
#define OPTEE_CQ_RETRY_MS	10

static int in_flight(const struct optee_call_queue *cq)
{
	return cq->normal_in_flight + cq->sys_in_flight + cq->relief_in_flight;
}

/* Threads that only relief calls may have. With a single thread there is nothing to keep: no other call could run. */
static int for_relief(const struct optee_call_queue *cq)
{
	return cq->keep_relief_thread && cq->capacity > 1 ? 1 : 0;
}

/* Threads that calls of no system session must leave free. One stays for them, or they could never run. */
static int withheld(const struct optee_call_queue *cq)
{
	if (!cq->sys_sessions || cq->capacity - for_relief(cq) <= 1 || cq->sys_in_flight)
		return 0;
	return 1;
}

static bool has_room_for_relief(const struct optee_call_queue *cq, bool sys_thread)
{
	int usable = cq->capacity;

	/* What is kept for system sessions is no part of what is kept for relief calls. */
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
	/* Relief calls have the thread that is kept for them, and whatever more they took. */
	return cq->normal_in_flight + cq->sys_in_flight + max(cq->relief_in_flight, for_relief(cq)) < usable;
}

/* A relief call of a system session is no use of what is kept for those. */
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
 * What has become free goes to the first class that has a sleeper and may have it. A return, or the end of a system
 * session, makes room for one call at most, and before it there was none for any call that sleeps.
 *
 * Return: the call that has the token now, which the caller of this completes after the section; NULL for none.
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

/* A call sleeps until it is completed, so that it is still there; and it does not wake to find the mutex held. */
static void unlock_and_wake(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	mutex_unlock(&cq->mutex);
	if (w)
		complete(&w->c);
}

/* Sleep until another call hands this one a token. */
static void sleep_until_token(struct optee_call_queue *cq, struct optee_call_waiter *w)
{
	wait_for_completion(&w->c);
	/* Noted again, directly before the SMC: fewer refusals will seem to be from before a return. */
	w->exits_seen = READ_ONCE(cq->exits);
}

/**
 * optee_cq_init() - initialize a call queue
 * @cq:			the queue
 * @thread_count:	threads that OP-TEE announced, 0 when it announced nothing
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
 * optee_cq_keep_relief_thread() - keep one thread for relief calls, as far as another stays for the rest
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
	/* Whenever somebody of this class sleeps there is no room for it: nobody is overtaken here. */
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
 * @w:		the call's place in it, until optee_cq_wait_final()
 * @sys_thread:	the call belongs to a system session
 */
void optee_cq_wait_init(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread)
{
	w->sys_thread = sys_thread;
	w->relief = false;
	wait_for_entry(cq, w);
}

/**
 * optee_cq_wait_init_relief() - the same for a call that ends or wakes others, or gives back what they may wait for
 * @cq:		the queue
 * @w:		the call's place in it, until optee_cq_wait_final()
 * @sys_thread:	the call belongs to a system session
 */
void optee_cq_wait_init_relief(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread)
{
	w->sys_thread = sys_thread;
	w->relief = true;
	wait_for_entry(cq, w);
}

/**
 * optee_cq_wait_for_completion() - OP-TEE answered ETHREAD_LIMIT: wait until it is worth to try again
 * @cq:	the queue
 * @w:	the call's place in it
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
		/* Refused with nobody else about: OP-TEE lacks even one thread, which may pass. */
		if (learnt > 0)
			cq->capacity = learnt;
		if (in_flight(cq) > cq->capacity) {
			/*
			 * It was first of its class when it got its token: it goes back there, not behind those that
			 * came later. All threads are spoken for, so that there is nothing to hand on.
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
 * optee_cq_wait_final() - the call has returned from OP-TEE for good
 * @cq:	the queue
 * @w:	the call's place in it, which ends here
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
 * Return: false when no thread can be kept for it: OP-TEE has a single one, beside the one for relief calls, or has
 * not told how many.
 */
bool optee_cq_incr_sys_thread_count(struct optee_call_queue *cq)
{
	bool granted;

	mutex_lock(&cq->mutex);
	/* One thread must stay for normal calls, beside the one for relief calls. */
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
