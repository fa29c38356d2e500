/* Maps the TEE's pages in place of whole pages of a buffer, so that both sides share them. */
#ifndef REMAPPED_H
#define REMAPPED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

/* The buffer's pages, and their place in the memory file. */
struct remapped {
	uint64_t begin, end;
	uint64_t offset;
	dev_t device;
	ino_t inode;
	/* The same pages at another address in this process. */
	char *window;
};

/* How a buffer can be shared at present: which of its pages, and if none, why not. */
enum wire_way way_to_share(uint64_t address, uint64_t length, uint64_t *begin, uint64_t *end);

/*
 * Map the TEE's pages in place of the buffer's, with the same content. The caller must have called way_to_share()
 * directly before.
 * Returns 0, or a negative errno; then nothing has changed.
 */
int remap(struct remapped *pages, int memory);

/*
 * Replace the TEE's pages by private ones with the same content, except where the process has mapped something else.
 * @memory the memory file
 * Returns false if the TEE's pages must stay in place as long as this process lives.
 */
bool unmap(const struct remapped *pages, int memory);

/* In a forked child: replace them by private pages with the content at the time of the fork. */
void separate(const struct remapped *pages, const char *then);

#endif
