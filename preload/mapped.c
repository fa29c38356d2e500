#define _GNU_SOURCE
#include "mapped.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connection.h"
#include "page.h"

struct mapped {
	struct mapped *next;
	uint64_t begin, end;
	int fd;
};

/* Also held during the system call, because another thread may reuse addresses as soon as they are freed. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mapped *all;

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

/* The child has the same mappings and descriptors. */
static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

/* Returns a negative errno on failure. */
static long settled(long result)
{
	return result == -1 ? -errno : result;
}

static void close_kept(int fd)
{
	int before = errno;

	syscall(SYS_close, fd);
	errno = before;
}

static struct mapped *take_spare(struct mapped **spare, int fd)
{
	struct mapped *entry = *spare;
	int kept = entry == NULL ? -1 : dup_high(fd);

	if (kept < 0)
		return NULL;
	*spare = NULL;
	entry->fd = kept;
	return entry;
}

/*
 * Our mappings in the range were removed. A mapping that is split needs a second entry, which the caller has allocated;
 * without one, the whole mapping stays registered, which only costs memory.
 */
static void forget(uint64_t begin, uint64_t end, struct mapped **spare)
{
	struct mapped **link = &all, *entry, *rest;

	while ((entry = *link) != NULL) {
		if (entry->end <= begin || entry->begin >= end) {
			link = &entry->next;
		} else if (entry->begin >= begin && entry->end <= end) {
			*link = entry->next;
			close_kept(entry->fd);
			free(entry);
		} else {
			if (entry->begin >= begin)
				entry->begin = end;
			else if (entry->end <= end)
				entry->end = begin;
			else if ((rest = take_spare(spare, entry->fd)) != NULL) {
				rest->begin = end;
				rest->end = entry->end;
				entry->end = begin;
				rest->next = entry->next;
				entry->next = rest;
			}
			link = &entry->next;
		}
	}
}

bool mapped_any(void)
{
	return __atomic_load_n(&all, __ATOMIC_RELAXED) != NULL;
}

int mapped_mmap(const struct wire_greeting *file, int fd, int memory, void **mapped, void *address, size_t length,
		int protection, int flags, uint64_t offset)
{
	struct mapped *entry = calloc(1, sizeof(*entry)), *spare = calloc(1, sizeof(*spare));
	int status = 0;
	long result;

	if (entry == NULL || spare == NULL || (entry->fd = dup_high(fd)) < 0) {
		status = entry == NULL || spare == NULL ? -ENOMEM : entry->fd;
		free(entry);
		free(spare);
		return status;
	}
	pthread_mutex_lock(&mutex);
	result = settled(syscall(SYS_mmap, address, length, protection, flags, memory, file->offset + offset));
	if (result < 0 && result > -4096) {
		status = result;
		close_kept(entry->fd);
		free(entry);
	} else {
		*mapped = (void *)result;
		entry->begin = (uintptr_t)*mapped;
		entry->end = page_up(entry->begin + length);
		if ((flags & MAP_FIXED) != 0)
			forget(entry->begin, entry->end, &spare);
		entry->next = all;
		all = entry;
	}
	pthread_mutex_unlock(&mutex);
	free(spare);
	return status;
}

long mapped_mmap_over(void *address, size_t length, int protection, int flags, int fd, uint64_t offset)
{
	struct mapped *spare = calloc(1, sizeof(*spare));
	long result;

	pthread_mutex_lock(&mutex);
	result = syscall(SYS_mmap, address, length, protection, flags, fd, offset);
	if (result != -1)
		forget((uintptr_t)address, page_up((uintptr_t)address + length), &spare);
	pthread_mutex_unlock(&mutex);
	free(spare);
	return result;
}

long mapped_munmap(void *address, size_t length)
{
	struct mapped *spare = calloc(1, sizeof(*spare));
	long result;

	pthread_mutex_lock(&mutex);
	result = syscall(SYS_munmap, address, length);
	if (result == 0)
		forget((uintptr_t)address, page_up((uintptr_t)address + length), &spare);
	pthread_mutex_unlock(&mutex);
	free(spare);
	return result;
}

static const struct mapped *find(uint64_t address)
{
	const struct mapped *entry;

	for (entry = all; entry != NULL; entry = entry->next)
		if (entry->begin <= address && address < entry->end)
			return entry;
	return NULL;
}

long mapped_mremap(void *old_address, size_t old_size, size_t new_size, int flags, void *new_address)
{
	struct mapped *spare = calloc(1, sizeof(*spare)), *moved = calloc(1, sizeof(*moved));
	const struct mapped *entry;
	uint64_t begin;
	long result;

	pthread_mutex_lock(&mutex);
	entry = find((uintptr_t)old_address);
	if (entry == NULL || moved == NULL || (moved->fd = dup_high(entry->fd)) < 0) {
		free(moved);
		moved = NULL;
	}
	result = syscall(SYS_mremap, old_address, old_size, new_size, flags, new_address);
	begin = (uintptr_t)result;
	if (result != -1) {
		if (old_size > 0 && (flags & MREMAP_DONTUNMAP) == 0)
			forget((uintptr_t)old_address, page_up((uintptr_t)old_address + old_size), &spare);
		forget(begin, page_up(begin + new_size), &spare);
	}
	if (moved != NULL && result != -1) {
		*moved = (struct mapped){ all, begin, page_up(begin + new_size), moved->fd };
		all = moved;
	} else if (moved != NULL) {
		close_kept(moved->fd);
		free(moved);
	}
	pthread_mutex_unlock(&mutex);
	free(spare);
	return result;
}

bool mapped_keeps(int fd)
{
	return fd >= 0 && mapped_first(fd) == (unsigned int)fd;
}

bool mapped_move(int fd)
{
	struct mapped *entry;
	bool moved = true;

	pthread_mutex_lock(&mutex);
	for (entry = all; entry != NULL; entry = entry->next) {
		if (entry->fd != fd)
			continue;
		entry->fd = dup_high(fd);
		moved = entry->fd >= 0;
		if (!moved)
			entry->fd = fd;
	}
	pthread_mutex_unlock(&mutex);
	return moved;
}

unsigned int mapped_first(unsigned int first)
{
	unsigned int found = UINT32_MAX;
	const struct mapped *entry;

	if (!mapped_any())
		return found;
	pthread_mutex_lock(&mutex);
	for (entry = all; entry != NULL; entry = entry->next)
		if ((unsigned int)entry->fd >= first && (unsigned int)entry->fd < found)
			found = entry->fd;
	pthread_mutex_unlock(&mutex);
	return found;
}
