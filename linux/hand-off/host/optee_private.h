/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Replaces the driver's header of that name: declares what call_queue.c defines and the driver calls. */
#ifndef OPTEE_PRIVATE_H
#define OPTEE_PRIVATE_H

#include "call_queue.h"

void optee_cq_init(struct optee_call_queue *cq, int thread_count);
void optee_cq_wait_init(struct optee_call_queue *cq, struct optee_call_waiter *w, bool sys_thread);
void optee_cq_wait_for_completion(struct optee_call_queue *cq, struct optee_call_waiter *w);
void optee_cq_wait_final(struct optee_call_queue *cq, struct optee_call_waiter *w);
bool optee_cq_incr_sys_thread_count(struct optee_call_queue *cq);
void optee_cq_decr_sys_thread_count(struct optee_call_queue *cq);

#endif /* OPTEE_PRIVATE_H */
