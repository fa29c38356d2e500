/* Memory of the client's own that is registered with the TEE. */
#ifndef REGISTERED_H
#define REGISTERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the kernel could write to all of a buffer: it pins only such memory. */
bool is_writable(uint64_t address, uint64_t length);

/*
 * A buffer was registered: what the TEE sees of it is `memory` from `offset` on.
 * Returns 0 or a negative errno.
 */
int registered_add(int fd, int32_t id, uint64_t address, uint64_t length, int memory, uint64_t offset);

/* A descriptor is about to be closed. */
void registered_close(int fd);

/* Carry bytes of a registered buffer to the TEE, or back. Ids of other memory are none of its business. */
void registered_copy_in(int32_t id, uint64_t offset, uint64_t size);
void registered_copy_out(int32_t id, uint64_t offset, uint64_t size);

#endif
