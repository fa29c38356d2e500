/* What lies where in this process, as the kernel tells it (/proc/self/maps, proc_pid_maps(5)). */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct mapping {
	uint64_t begin, end;
	char permissions[4]; /* "rw-p"; not terminated */
	uint64_t offset; /* in the file */
	uint32_t major, minor;
	uint64_t inode; /* 0: no file */
	bool is_stack; /* the first thread's */
};

/*
 * Calls @visit with each mapping that has something of [begin, end), in order, until that returns false.
 * Returns false when the kernel does not tell, or @visit did.
 */
bool each_mapping(uint64_t begin, uint64_t end, bool (*visit)(const struct mapping *mapping, void *argument),
		  void *argument);

#endif
