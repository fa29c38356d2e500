/* Pages of memory. */
#ifndef PAGE_H
#define PAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Page size of the TEE, and of every host on which memory is remapped. */
#define PAGE 4096u

static inline uint64_t page_down(uint64_t address)
{
	return address & ~(uint64_t)(PAGE - 1);
}

static inline uint64_t page_up(uint64_t address)
{
	return page_down(address + PAGE - 1);
}

/* Whether the kernel can read the whole range. */
bool is_readable(uint64_t address, uint64_t length);

/* Whether the kernel can write to the whole range. It writes to each page without changing the content. */
bool is_writable(uint64_t address, uint64_t length);

#endif
