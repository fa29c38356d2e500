#define _GNU_SOURCE
#include "remapped.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "memory_map.h"
#include "page.h"

/* Missing in older C libraries; then other threads are assumed. */
#pragma weak __libc_single_threaded

/* The value of NORMALWORLD_SHM. */
enum wish { NO_WISH, COPY, REMAP };

static enum wish wish(void)
{
	const char *said = getenv("NORMALWORLD_SHM");

	if (said == NULL)
		return NO_WISH;
	return strcmp(said, "copy") == 0 ? COPY : strcmp(said, "remap") == 0 ? REMAP : NO_WISH;
}

/*
 * A write to a page between copying and replacing it would be lost, and nothing can block writers in the meantime
 * (docs/serve.md). So there must be none: either no other thread, or the user guarantees it.
 */
static bool others_may_write(void)
{
	return (&__libc_single_threaded == NULL || !__libc_single_threaded) && wish() != REMAP;
}

struct claim {
	uint64_t reached;
	bool in_private_memory;
};

/* Private anonymous pages without special properties. */
static bool is_plain(const struct mapping *mapping, void *argument)
{
	struct claim *claim = argument;

	claim->in_private_memory = mapping->begin <= claim->reached && mapping->inode == 0 && !mapping->is_stack &&
				   memcmp(mapping->permissions, "rw-p", sizeof(mapping->permissions)) == 0;
	claim->reached = mapping->end;
	return claim->in_private_memory;
}

static bool is_private_memory(uint64_t begin, uint64_t end)
{
	struct claim claim = { begin, false };

	return each_mapping(begin, end, is_plain, &claim) && claim.in_private_memory && claim.reached >= end;
}

/*
 * Locked memory would lose its lock by a mapping. The kernel rejects this madvise for locked memory and for huge pages.
 */
static bool is_locked(uint64_t begin, uint64_t end)
{
	int before = errno;
	bool locked = madvise((void *)(uintptr_t)begin, end - begin, MADV_COLD) != 0;

	errno = before;
	return locked;
}

enum wire_way way_to_share(uint64_t address, uint64_t length, uint64_t *begin, uint64_t *end)
{
	*begin = page_up(address);
	*end = page_down(address + length);
	if (*begin >= *end || sysconf(_SC_PAGESIZE) != PAGE)
		return WIRE_COPIED_NO_PAGES;
	if (wish() == COPY)
		return WIRE_COPIED_WISH;
	if (others_may_write())
		return WIRE_COPIED_THREADS;
	if (!is_private_memory(*begin, *end) || is_locked(*begin, *end))
		return WIRE_COPIED_MEMORY;
	return WIRE_REMAPPED;
}

static void *place(uint64_t begin, uint64_t end, int flags, int memory, uint64_t offset)
{
	return mmap((void *)(uintptr_t)begin, end - begin, PROT_READ | PROT_WRITE, MAP_FIXED | flags, memory, offset);
}

int remap(struct remapped *pages, int memory)
{
	struct stat file;
	sigset_t all, before;
	int status = 0;

	if (fstat(memory, &file) != 0)
		return -errno;
	pages->device = file.st_dev;
	pages->inode = file.st_ino;
	/* A signal handler could write, too. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	memcpy(pages->window, (const void *)(uintptr_t)pages->begin, pages->end - pages->begin);
	if (place(pages->begin, pages->end, MAP_SHARED, memory, pages->offset) == MAP_FAILED)
		status = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

struct visit {
	const struct remapped *pages;
	/* The file of the shared memory. */
	int memory;
	/* The content for the pages. */
	const char *content;
	/* All pages that were still ours are now private. */
	bool done;
};

/* The part of a mapping that is still ours: the program may have mapped something else there. */
static bool still_ours(const struct mapping *mapping, const struct remapped *pages, uint64_t *begin, uint64_t *end)
{
	*begin = mapping->begin > pages->begin ? mapping->begin : pages->begin;
	*end = mapping->end < pages->end ? mapping->end : pages->end;
	return mapping->permissions[3] == 's' && mapping->inode == pages->inode &&
	       makedev(mapping->major, mapping->minor) == pages->device &&
	       mapping->offset + (*begin - mapping->begin) == pages->offset + (*begin - pages->begin);
}

/* The program may have changed the protection meanwhile. */
static void protect_as(const struct mapping *mapping, uint64_t begin, uint64_t end)
{
	int protection = (mapping->permissions[0] == 'r' ? PROT_READ : 0) |
			 (mapping->permissions[1] == 'w' ? PROT_WRITE : 0);

	if (protection != (PROT_READ | PROT_WRITE))
		mprotect((void *)(uintptr_t)begin, end - begin, protection);
}

/*
 * For use without concurrent writers: the caller has ensured that, or this is a new child. Readers see no difference.
 */
static bool replace(const struct mapping *mapping, void *argument)
{
	struct visit *visit = argument;
	const struct remapped *pages = visit->pages;
	uint64_t begin, end;
	void *own;

	if (!still_ours(mapping, pages, &begin, &end))
		return true;
	own = mmap(NULL, end - begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED) {
		visit->done = false;
		return true;
	}
	memcpy(own, visit->content + (begin - pages->begin), end - begin);
	if (mremap(own, end - begin, end - begin, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(uintptr_t)begin) ==
	    MAP_FAILED) {
		munmap(own, end - begin);
		visit->done = false;
		return true;
	}
	protect_as(mapping, begin, end);
	return true;
}

/*
 * For use with concurrent writers. First map the same pages privately: the content stays the same, and later writes go
 * to private pages, so no write is lost. Then write to each page without changing it.
 */
static bool replace_under_writers(const struct mapping *mapping, void *argument)
{
	struct visit *visit = argument;
	const struct remapped *pages = visit->pages;
	uint64_t begin, end;

	if (!still_ours(mapping, pages, &begin, &end))
		return true;
	if (place(begin, end, MAP_PRIVATE, visit->memory, pages->offset + (begin - pages->begin)) == MAP_FAILED ||
	    !is_writable(begin, end - begin))
		visit->done = false;
	protect_as(mapping, begin, end);
	return true;
}

bool unmap(const struct remapped *pages, int memory)
{
	struct visit visit = { pages, memory, pages->window, true };
	bool alone = !others_may_write();
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!each_mapping(pages->begin, pages->end, alone ? replace : replace_under_writers, &visit))
		visit.done = false;
	/*
	 * If the program drops its pages later (MADV_DONTNEED), the file shows through the private mapping: it must contain
	 * zeros, as for anonymous memory.
	 */
	if (!alone && visit.done)
		memset(pages->window, 0, pages->end - pages->begin);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return alone && visit.done;
}

void separate(const struct remapped *pages, const char *then)
{
	struct visit visit = { pages, -1, then, true };

	each_mapping(pages->begin, pages->end, replace, &visit);
}
