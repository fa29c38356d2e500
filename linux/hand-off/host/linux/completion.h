/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A completion counts, as the kernel's does; waiting gives the processor back to drive.c until it is told to go on. */
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
