/* Client buffers that are registered with the TEE. */
#ifndef REGISTERED_H
#define REGISTERED_H

#include <stdint.h>

#include "wire.h"

/* A buffer to be registered. */
struct buffer {
	uint64_t address, length;
	/* The pages that are shared with the TEE; the rest is copied. Empty if begin and end are equal. */
	uint64_t begin, end;
	enum wire_way way;
};

/* How a buffer can be shared at present. */
struct buffer buffer_to_register(uint64_t address, uint64_t length);

/*
 * A buffer was registered: the TEE's pages are in `memory`, from the file's offset on.
 * Returns 0 or a negative errno.
 */
int registered_add(int fd, const struct wire_greeting *file, const struct buffer *buffer, int memory);

/* Descriptors from `first` to `last` will be closed. */
void registered_close(unsigned int first, unsigned int last);

/*
 * Copy changed bytes of a registered buffer to the TEE, or back. Ids of other memory, or of another open device than
 * the one with this `token`, are ignored.
 */
void registered_copy_in(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size);
void registered_copy_out(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size);

#endif
