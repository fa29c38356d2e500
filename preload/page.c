#define _GNU_SOURCE
#include "page.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Tests for write access without changing the content: FUTEX_WAKE_OP atomically ORs zero into the word, and fails with
 * EFAULT if it is not writable. At worst, a waiter on this word has a spurious wake-up, which waiters must expect.
 */
static bool word_is_writable(uint64_t address)
{
	static uint32_t nobody_waits_here;
	int op = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 1);
	int before = errno;
	bool writable = syscall(SYS_futex, &nobody_waits_here, FUTEX_WAKE_OP_PRIVATE, 0, 0UL, address, op) >= 0 ||
			errno != EFAULT;

	errno = before;
	return writable;
}

/* Tests for read access: FUTEX_WAIT with a zero timeout fails with EFAULT if the word is not readable. */
static bool word_is_readable(uint64_t address)
{
	static const struct timespec no_time;
	int before = errno;
	bool readable = syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, 0, &no_time, NULL, 0) >= 0 || errno != EFAULT;

	errno = before;
	return readable;
}

static bool each_page(uint64_t address, uint64_t length, bool (*holds)(uint64_t page))
{
	uint64_t page = page_down(address);

	if (address + length < address)
		return false;
	for (; page < address + length; page += PAGE)
		if (!holds(page))
			return false;
	return true;
}

bool is_readable(uint64_t address, uint64_t length)
{
	return each_page(address, length, word_is_readable);
}

bool is_writable(uint64_t address, uint64_t length)
{
	return each_page(address, length, word_is_writable);
}
