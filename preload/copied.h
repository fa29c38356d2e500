/*
 * A part of a buffer that is copied to the TEE and back, in such a way that calls which use it at the same time do not undo
 * each other's writes: only bytes that differ from what both sides last had in common are carried.
 */
#ifndef COPIED_H
#define COPIED_H

#include <stddef.h>
#include <stdint.h>

struct copied {
	/* Of the buffer, in bytes. */
	uint64_t begin, end;
	/* What both sides last had in common. */
	char *common;
};

/* Nothing of it is known to the TEE yet, whose bytes are zero. Returns 0 or a negative errno. */
int copied_init(struct copied *part, uint64_t begin, uint64_t end);

void copied_free(struct copied *part);

/*
 * Carry what is new of bytes [begin, end) of the buffer. The caller holds off others who carry the same part. Pages that
 * the client has taken away meanwhile stay as they are on both sides.
 */
void copied_carry(const struct copied *part, const char *from, char *to, uint64_t begin, uint64_t end);

#endif
