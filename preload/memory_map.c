#define _GNU_SOURCE
#include "memory_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Longest part of a line that is kept; it only truncates names. */
#define LINE 256

/* stdio is not used, because it allocates, and this code may run during fork or in a signal handler. */
struct reader {
	int fd;
	char bytes[4096];
	size_t at, filled;
};

static bool next_byte(struct reader *reader, char *byte)
{
	if (reader->at == reader->filled) {
		ssize_t got;

		do
			got = read(reader->fd, reader->bytes, sizeof(reader->bytes));
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return false;
		reader->at = 0;
		reader->filled = got;
	}
	*byte = reader->bytes[reader->at++];
	return true;
}

static bool next_line(struct reader *reader, char *line)
{
	size_t length = 0;
	char byte;

	while (next_byte(reader, &byte)) {
		if (byte == '\n') {
			line[length] = '\0';
			return true;
		}
		if (length < LINE - 1)
			line[length++] = byte;
	}
	return false;
}

static bool parse(const char *line, struct mapping *mapping)
{
	unsigned long long begin, end, offset, inode;
	unsigned int major, minor;
	char permissions[5];

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu", &begin, &end, permissions, &offset, &major, &minor,
		   &inode) != 7)
		return false;
	*mapping = (struct mapping){ .begin = begin, .end = end, .offset = offset, .major = major, .minor = minor,
				     .inode = inode, .is_stack = strstr(line, "[stack") != NULL };
	memcpy(mapping->permissions, permissions, sizeof(mapping->permissions));
	return true;
}

bool each_mapping(uint64_t begin, uint64_t end, bool (*visit)(const struct mapping *mapping, void *argument),
		  void *argument)
{
	struct reader reader = { .fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC) };
	struct mapping mapping;
	char line[LINE];
	bool told = reader.fd >= 0;

	while (told && next_line(&reader, line)) {
		told = parse(line, &mapping);
		if (told && mapping.begin >= end)
			break;
		if (told && mapping.end > begin)
			told = visit(&mapping, argument);
	}
	if (reader.fd >= 0)
		close(reader.fd);
	return told;
}
