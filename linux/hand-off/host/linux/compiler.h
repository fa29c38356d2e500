/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Only one caller runs at a time here, so plain reads and writes are atomic. */
#pragma once

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
