/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One caller runs at a time here: a plain read and a plain write are whole. */
#pragma once

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
