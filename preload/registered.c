#define _GNU_SOURCE
#include "registered.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u

struct registered {
	struct registered *next;
	int fd;
	int32_t id;
	uint64_t address;
	uint64_t length;
	/* The same bytes as the TEE sees them. */
	char *window;
	/* The list's, and one of each copy under way. */
	int references;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct registered *all;

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

/* The child has the buffers, the windows and the descriptors, all at the same places. */
static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

/*
 * Asks the kernel to write without changing anything: FUTEX_WAKE_OP ORs zero into the word, atomically, and says EFAULT
 * where it cannot. At worst somebody who waits for that word wakes for nothing, which every waiter expects.
 */
static bool word_is_writable(uint64_t address)
{
	static uint32_t nobody_waits_here;
	int op = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 1);
	int before = errno;
	bool writable = syscall(SYS_futex, &nobody_waits_here, FUTEX_WAKE_OP_PRIVATE, 0, 0UL, address, op) >= 0 ||
			errno != EFAULT;

	errno = before;
	return writable;
}

bool is_writable(uint64_t address, uint64_t length)
{
	uint64_t page = address & ~(uint64_t)(PAGE - 1);

	if (address + length < address)
		return false;
	for (; page < address + length; page += PAGE)
		if (!word_is_writable(page))
			return false;
	return true;
}

int registered_add(int fd, int32_t id, uint64_t address, uint64_t length, int memory, uint64_t offset)
{
	struct registered *entry = malloc(sizeof(*entry));
	void *window;

	if (entry == NULL)
		return -ENOMEM;
	window = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory, offset);
	if (window == MAP_FAILED) {
		free(entry);
		return -ENOMEM;
	}
	*entry = (struct registered){ NULL, fd, id, address, length, window, 1 };
	pthread_mutex_lock(&mutex);
	entry->next = all;
	all = entry;
	pthread_mutex_unlock(&mutex);
	return 0;
}

static void put(struct registered *entry)
{
	bool last;

	pthread_mutex_lock(&mutex);
	last = --entry->references == 0;
	pthread_mutex_unlock(&mutex);
	if (!last)
		return;
	munmap(entry->window, entry->length);
	free(entry);
}

void registered_close(int fd)
{
	struct registered **link, *entry;

	/* A glance without the lock: most programs close many files and register none. */
	if (__atomic_load_n(&all, __ATOMIC_RELAXED) == NULL)
		return;
	pthread_mutex_lock(&mutex);
	for (link = &all; *link != NULL && (*link)->fd != fd; link = &(*link)->next)
		;
	entry = *link;
	if (entry != NULL)
		*link = entry->next;
	pthread_mutex_unlock(&mutex);
	if (entry != NULL)
		put(entry);
}

/* The entry of these bytes, held; NULL when there is none. */
static struct registered *get(int32_t id, uint64_t offset, uint64_t size)
{
	struct registered *entry;

	if (__atomic_load_n(&all, __ATOMIC_RELAXED) == NULL)
		return NULL;
	pthread_mutex_lock(&mutex);
	for (entry = all; entry != NULL && entry->id != id; entry = entry->next)
		;
	if (entry != NULL && (offset > entry->length || size > entry->length - offset))
		entry = NULL;
	if (entry != NULL)
		entry->references++;
	pthread_mutex_unlock(&mutex);
	return entry;
}

void registered_copy_in(int32_t id, uint64_t offset, uint64_t size)
{
	struct registered *entry = get(id, offset, size);

	if (entry == NULL)
		return;
	memcpy(entry->window + offset, (const char *)(uintptr_t)entry->address + offset, size);
	put(entry);
}

void registered_copy_out(int32_t id, uint64_t offset, uint64_t size)
{
	struct registered *entry = get(id, offset, size);

	if (entry == NULL)
		return;
	memcpy((char *)(uintptr_t)entry->address + offset, entry->window + offset, size);
	put(entry);
}
