/*
 * Mappings of the server's shared memory. Each keeps a descriptor of its own, so that memory and id exist until the
 * last descriptor and the last mapping have gone, as in the kernel. A mapping that is removed without our knowledge
 * keeps its memory.
 */
#ifndef MAPPED_H
#define MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* Map shared memory. Like mmap, but returns a negative errno; the address is stored in *mapped. */
int mapped_mmap(const struct wire_greeting *file, int fd, int memory, void **mapped, void *address, size_t length,
		int protection, int flags, uint64_t offset);

/* The system calls, with the bookkeeping of mappings. */
long mapped_munmap(void *address, size_t length);
long mapped_mremap(void *old_address, size_t old_size, size_t new_size, int flags, void *new_address);
long mapped_mmap_over(void *address, size_t length, int protection, int flags, int fd, uint64_t offset);

/* Whether there are mappings of shared memory. */
bool mapped_any(void);

/* Whether a mapping keeps this descriptor. */
bool mapped_keeps(int fd);

/* Move a kept descriptor to another number. Returns false if there is none. */
bool mapped_move(int fd);

/* The first kept descriptor from `first` on; UINT32_MAX if there is none. */
unsigned int mapped_first(unsigned int first);

#endif
