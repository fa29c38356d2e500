#define _GNU_SOURCE
#include "registered.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "copied.h"
#include "page.h"
#include "remapped.h"

struct registered {
	struct registered *next;
	int fd;
	int32_t id;
	/* The open device that it belongs to. */
	uint8_t token[WIRE_TOKEN_SIZE];
	struct buffer buffer;
	/* The buffer's pages as the TEE sees them. */
	char *pages;
	size_t pages_size;
	struct remapped remapped;
	/* The parts before and after the remapped pages. */
	struct copied copied[2];
	/* Serialises copying by several calls. */
	pthread_mutex_t carrying;
	/* During a fork: the content for the child of the pages that the parent remapped. */
	char *for_child;
	/* One for the list, and one for each copy in progress. */
	int references;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct registered *all;

static bool is_remapped(const struct registered *entry)
{
	return entry->buffer.begin != entry->buffer.end;
}

static size_t remapped_size(const struct registered *entry)
{
	return entry->buffer.end - entry->buffer.begin;
}

static char *map_anywhere(size_t size, int flags, int memory, uint64_t offset)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, memory, offset);

	return mapped == MAP_FAILED ? NULL : mapped;
}

static void before_fork(void)
{
	struct registered *entry;

	pthread_mutex_lock(&mutex);
	for (entry = all; entry != NULL; entry = entry->next) {
		if (!is_remapped(entry))
			continue;
		entry->for_child = map_anywhere(remapped_size(entry), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (entry->for_child != NULL)
			memcpy(entry->for_child, entry->remapped.window, remapped_size(entry));
	}
}

static void after_fork_in_parent(void)
{
	struct registered *entry;

	for (entry = all; entry != NULL; entry = entry->next) {
		if (entry->for_child != NULL)
			munmap(entry->for_child, remapped_size(entry));
		entry->for_child = NULL;
	}
	pthread_mutex_unlock(&mutex);
}

/*
 * The remapped pages belong to the parent and to the registration; the child gets a copy, as the kernel gives it a copy
 * of pages that a device uses. Copied parts stay as in the parent, including windows and descriptors.
 */
static void after_fork_in_child(void)
{
	struct registered **link = &all, *entry;

	/* The child has only one thread, and what follows closes files. */
	pthread_mutex_unlock(&mutex);
	while ((entry = *link) != NULL) {
		pthread_mutex_init(&entry->carrying, NULL);
		if (!is_remapped(entry)) {
			link = &entry->next;
			continue;
		}
		/* Without memory for a copy, use the current content of the pages. */
		separate(&entry->remapped, entry->for_child == NULL ? entry->remapped.window : entry->for_child);
		if (entry->for_child != NULL)
			munmap(entry->for_child, remapped_size(entry));
		munmap(entry->pages, entry->pages_size);
		*link = entry->next;
	}
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

struct buffer buffer_to_register(uint64_t address, uint64_t length)
{
	struct buffer buffer = { .address = address, .length = length };

	buffer.way = way_to_share(address, length, &buffer.begin, &buffer.end);
	if (buffer.way != WIRE_REMAPPED)
		buffer.begin = buffer.end = address;
	return buffer;
}

static void destroy(struct registered *entry)
{
	if (entry->pages != NULL)
		munmap(entry->pages, entry->pages_size);
	copied_free(&entry->copied[0]);
	copied_free(&entry->copied[1]);
	pthread_mutex_destroy(&entry->carrying);
	free(entry);
}

/* The TEE's address for a client's address. */
static char *window_of(const struct registered *entry, uint64_t address)
{
	return entry->pages + (address - page_down(entry->buffer.address));
}

static int share(struct registered *entry, int memory, uint64_t offset)
{
	const struct buffer *buffer = &entry->buffer;
	uint64_t end = buffer->address + buffer->length;
	int status;

	entry->pages_size = page_up(end) - page_down(buffer->address);
	entry->pages = map_anywhere(entry->pages_size, MAP_SHARED, memory, offset);
	if (entry->pages == NULL)
		return -ENOMEM;
	status = copied_init(&entry->copied[0], 0, buffer->begin - buffer->address);
	if (status == 0)
		status = copied_init(&entry->copied[1], buffer->end - buffer->address, buffer->length);
	if (status < 0 || !is_remapped(entry))
		return status;
	entry->remapped = (struct remapped){ .begin = buffer->begin,
					     .end = buffer->end,
					     .offset = offset + (buffer->begin - page_down(buffer->address)),
					     .window = window_of(entry, buffer->begin) };
	return remap(&entry->remapped, memory);
}

int registered_add(int fd, const struct wire_greeting *file, const struct buffer *buffer, int memory)
{
	struct registered *entry = calloc(1, sizeof(*entry));
	int status;

	if (entry == NULL)
		return -ENOMEM;
	entry->fd = fd;
	entry->id = file->id;
	memcpy(entry->token, file->token, sizeof(entry->token));
	entry->buffer = *buffer;
	entry->references = 1;
	pthread_mutex_init(&entry->carrying, NULL);
	status = share(entry, memory, file->offset);
	if (status < 0) {
		destroy(entry);
		return status;
	}
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
	if (last)
		destroy(entry);
}

/* Must be called before its descriptor is closed, because the pages may then be reused. */
static void take_back(const struct registered *entry)
{
	struct wire_greeting greeting;
	int before = errno;
	int memory = -1;

	if (file_greeting(entry->fd, &greeting, &memory) && !unmap(&entry->remapped, memory))
		/* The pages must not be reused: keep another descriptor open as long as this process lives. */
		dup_high(entry->fd);
	if (memory >= 0)
		close(memory);
	errno = before;
}

static struct registered *remove_first(unsigned int first, unsigned int last)
{
	struct registered **link, *entry;

	pthread_mutex_lock(&mutex);
	for (link = &all; (entry = *link) != NULL; link = &entry->next)
		if ((unsigned int)entry->fd >= first && (unsigned int)entry->fd <= last)
			break;
	if (entry != NULL)
		*link = entry->next;
	pthread_mutex_unlock(&mutex);
	return entry;
}

void registered_close(unsigned int first, unsigned int last)
{
	struct registered *entry;

	/* Check without the lock: most programs close many files and register none. */
	while (__atomic_load_n(&all, __ATOMIC_RELAXED) != NULL && (entry = remove_first(first, last)) != NULL) {
		if (is_remapped(entry))
			take_back(entry);
		put(entry);
	}
}

/* Find and reference the entry for these bytes; NULL if there is none. */
static struct registered *get(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size)
{
	struct registered *entry;

	if (__atomic_load_n(&all, __ATOMIC_RELAXED) == NULL)
		return NULL;
	pthread_mutex_lock(&mutex);
	for (entry = all; entry != NULL; entry = entry->next)
		if (entry->id == id && memcmp(entry->token, token, sizeof(entry->token)) == 0)
			break;
	if (entry != NULL && (offset > entry->buffer.length || size > entry->buffer.length - offset))
		entry = NULL;
	if (entry != NULL)
		entry->references++;
	pthread_mutex_unlock(&mutex);
	return entry;
}

static void carry(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size, bool to_tee)
{
	struct registered *entry = get(token, id, offset, size);
	char *client, *tee;

	if (entry == NULL)
		return;
	client = (char *)(uintptr_t)entry->buffer.address;
	tee = window_of(entry, entry->buffer.address);
	pthread_mutex_lock(&entry->carrying);
	for (int part = 0; part < 2; part++)
		copied_carry(&entry->copied[part], to_tee ? client : tee, to_tee ? tee : client, offset, offset + size);
	pthread_mutex_unlock(&entry->carrying);
	put(entry);
}

void registered_copy_in(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size)
{
	carry(token, id, offset, size, true);
}

void registered_copy_out(const uint8_t *token, int32_t id, uint64_t offset, uint64_t size)
{
	carry(token, id, offset, size, false);
}
