/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A completion has a counter, as in the kernel. Waiting yields to drive.c until it continues the caller. */
#pragma once
#include <linux/types.h>

struct completion {
	unsigned int done;
};

static inline void init_completion(struct completion *c)
{
	c->done = 0;
}

static inline void reinit_completion(struct completion *c)
{
	c->done = 0;
}

static inline void complete(struct completion *c)
{
	c->done++;
}

void wait_for_completion(struct completion *c);
