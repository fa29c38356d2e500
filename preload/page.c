#define _GNU_SOURCE
#include "page.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Asks the kernel to write without changing anything: FUTEX_WAKE_OP ORs zero into the word, atomically, and says EFAULT
 * where it cannot. At worst somebody who waits for that word wakes for nothing, which every waiter expects.
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

bool is_writable(uint64_t address, uint64_t length)
{
	uint64_t page = page_down(address);

	if (address + length < address)
		return false;
	for (; page < address + length; page += PAGE)
		if (!word_is_writable(page))
			return false;
	return true;
}
