/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Only one caller runs at a time here. Locking twice, or sleeping with the mutex held, is an error. */
#pragma once
#include <linux/types.h>

struct mutex {
	bool held;
};

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
