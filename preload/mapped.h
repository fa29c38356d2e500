/*
 * Mappings of the server's shared memory. Each keeps a descriptor of its own, so that memory and id live until the last of
 * descriptor and mappings goes, as with the kernel. A mapping that is undone behind our back keeps its memory.
 */
#ifndef MAPPED_H
#define MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* Map shared memory. As mmap, but returns a negative errno; the address is in *mapped. */
int mapped_mmap(const struct wire_greeting *file, int fd, int memory, void **mapped, void *address, size_t length,
		int protection, int flags, uint64_t offset);

/* The system calls, and what becomes of mappings by them. */
long mapped_munmap(void *address, size_t length);
long mapped_mremap(void *old_address, size_t old_size, size_t new_size, int flags, void *new_address);
long mapped_mmap_over(void *address, size_t length, int protection, int flags, int fd, uint64_t offset);

/* Whether mappings of shared memory are known at all. */
bool mapped_any(void);

/* Whether a descriptor is one that a mapping keeps. */
bool mapped_keeps(int fd);

/* Its number is wanted for something else: keep another. Returns false when there is none. */
bool mapped_move(int fd);

/* The first descriptor that is kept, from `first` on; UINT32_MAX when there is none. */
unsigned int mapped_first(unsigned int first);

#endif
