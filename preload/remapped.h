/*
 * Whole pages of a buffer put onto the pages that the TEE has for it, so that both sides have the same ones.
 */
#ifndef REMAPPED_H
#define REMAPPED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

/* The buffer's pages, and where they are in the memory's file. */
struct remapped {
	uint64_t begin, end;
	uint64_t offset;
	dev_t device;
	ino_t inode;
	/* The same pages, elsewhere in this process. */
	char *window;
};

/* How a buffer can be shared at this moment: which of its pages, if any, and why not. */
enum wire_way way_to_share(uint64_t address, uint64_t length, uint64_t *begin, uint64_t *end);

/*
 * Put the pages in their place; they keep what is in them. The caller has asked for the way at this moment.
 * Returns 0 or a negative errno, and then all is as it was.
 */
int remap(struct remapped *pages, int memory);

/*
 * Give the process pages of its own again, with what is in them; but not where it has mapped something else meanwhile.
 * @memory the memory's file
 * Returns false when the TEE's pages must stay what they are for as long as this process lives.
 */
bool unmap(const struct remapped *pages, int memory);

/* In a forked child: pages of its own, with what was in them when it was forked. */
void separate(const struct remapped *pages, const char *then);

#endif
