/* The memory map of this process (/proc/self/maps, proc_pid_maps(5)). */
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
 * Calls @visit in order for each mapping that overlaps [begin, end), until it returns false. Returns false if the map
 * cannot be read, or if @visit returned false.
 */
bool each_mapping(uint64_t begin, uint64_t end, bool (*visit)(const struct mapping *mapping, void *argument),
		  void *argument);

#endif
