/*
 * A part of a buffer that is copied to the TEE and back. Only bytes that differ from the last common content are
 * copied, so that concurrent calls do not undo each other's writes.
 */
#ifndef COPIED_H
#define COPIED_H

#include <stddef.h>
#include <stdint.h>

struct copied {
	/* Range in the buffer, in bytes. */
	uint64_t begin, end;
	/* The content that both sides last had in common. */
	char *common;
};

/* Initialise for a TEE whose copy is all zeros. Returns 0 or a negative errno. */
int copied_init(struct copied *part, uint64_t begin, uint64_t end);

void copied_free(struct copied *part);

/*
 * Copy the changed bytes of [begin, end). The caller must exclude concurrent copies of the same part. Pages that the
 * client has unmapped are skipped on both sides.
 */
void copied_carry(const struct copied *part, const char *from, char *to, uint64_t begin, uint64_t end);

#endif
