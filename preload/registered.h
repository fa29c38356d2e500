/* Memory of the client's own that is registered with the TEE. */
#ifndef REGISTERED_H
#define REGISTERED_H

#include <stdint.h>

#include "wire.h"

/* A buffer that is to be registered. */
struct buffer {
	uint64_t address, length;
	/* Its pages that the TEE gets itself; of the rest it gets copies. Nothing when both are the same. */
	uint64_t begin, end;
	enum wire_way way;
};

/* How a buffer can be shared at this moment. */
struct buffer buffer_to_register(uint64_t address, uint64_t length);

/*
 * It was registered: what the TEE sees of its pages is `memory` from the file's offset on.
 * Returns 0 or a negative errno.
 */
int registered_add(int fd, const struct wire_greeting *file, const struct buffer *buffer, int memory);

/* Descriptors from `first` to `last` are about to be closed. */
void registered_close(unsigned int first, unsigned int last);

/*
 * Carry what is new in a registered buffer to the TEE, or back. Ids of other memory are none of its business, nor are those of
 * another open device, which `token` names.
 */
void registered_copy_in(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size);
void registered_copy_out(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size);

#endif
