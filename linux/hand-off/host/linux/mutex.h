/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One caller runs at a time here; that a section is entered twice, or left open when a caller sleeps, is a failure. */
#pragma once
#include <linux/types.h>

struct mutex {
	bool held;
};

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
