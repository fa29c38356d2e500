/*
 * What becomes of buffers that a client registers. Each case is named by the first argument; the program exits with 0, or
 * with the line of the check that failed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tee-calls.h"

/* test/preload/registered.test.ts */
enum { MEET = 1, JOIN = 2, REVERSE = 3, SOMEBODY_JOINED = 4 };
static const uint8_t partner[16] = { 0x77, 0x77, 0x77, 0x77, 0x22, 0x22, 0x43, 0x33,
				     0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55 };

enum { PAGE = 4096, PAGES = 3, SIZE = PAGES * PAGE };

static int device;
static uint32_t session;

static void *pages(int flags)
{
	void *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	CHECK(bytes != MAP_FAILED);
	return bytes;
}

static void fill(char *bytes, size_t length)
{
	for (size_t index = 0; index < length; index++)
		bytes[index] = index * 7 + 1;
}

/* The TA and we have the same bytes, each with what the other writes. */
static void reverses(char *bytes, int id, uint64_t offset, uint64_t length)
{
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, offset, length, id };
	char *before = malloc(length);

	fill(bytes + offset, length);
	memcpy(before, bytes + offset, length);
	CHECK(invoke(device, session, REVERSE, &param) == 0);
	for (size_t index = 0; index < length; index++)
		CHECK(bytes[offset + index] == before[length - 1 - index]);
	free(before);
}

static void shared(char *bytes, size_t length)
{
	int id, shm = register_memory(device, bytes, length, &id);

	CHECK(shm >= 0);
	reverses(bytes, id, 0, length);
	reverses(bytes, id, length / 3, length / 2);
	fill(bytes, length);
	CHECK(close(shm) == 0);
	for (size_t index = 0; index < length; index++)
		CHECK(bytes[index] == (char)(index * 7 + 1));
}

/* In pages, in the middle of pages that hold other things, within a page. */
static void buffers(void)
{
	char *bytes = pages(MAP_PRIVATE), *around = malloc(SIZE + 200);

	shared(bytes, SIZE);
	memset(around, 0x55, SIZE + 200);
	shared(around + 100, SIZE);
	for (int index = 0; index < 100; index++)
		CHECK(around[index] == 0x55 && around[100 + SIZE + index] == 0x55);
	shared(bytes + 100, 1000);
}

/* Memory with which more was done than to write into it. */
static void others(void)
{
	char *locked = pages(MAP_PRIVATE), *code = pages(MAP_PRIVATE);
	int file = memfd_create("file", 0);

	shared(pages(MAP_SHARED), SIZE);
	CHECK(file >= 0 && ftruncate(file, SIZE) == 0);
	shared(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0), SIZE);
	CHECK(mprotect(code, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	shared(code, SIZE);
	CHECK(mlock(locked, SIZE) == 0);
	shared(locked, SIZE);
}

static void *meet(void *argument)
{
	volatile char *bytes = argument;

	while (bytes[0] != 'T')
		;
	bytes[1] = 'C';
	return NULL;
}

/* Another thread and the TA answer each other during a call. */
static void meets(bool thread_first)
{
	char *bytes = (char *)pages(MAP_PRIVATE) + 100;
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, PAGE, 2, 0 };
	pthread_t thread;
	int id, shm;

	if (thread_first)
		CHECK(pthread_create(&thread, NULL, meet, bytes + PAGE) == 0);
	shm = register_memory(device, bytes, 2 * PAGE, &id);
	CHECK(shm >= 0);
	if (!thread_first)
		CHECK(pthread_create(&thread, NULL, meet, bytes + PAGE) == 0);
	param.c = id;
	CHECK(invoke(device, session, MEET, &param) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(close(shm) == 0);
	CHECK(bytes[PAGE] == 'T' && bytes[PAGE + 1] == 'C');
}

static void meets_new_thread(void)
{
	meets(false);
}

static void meets_old_thread(void)
{
	meets(true);
}

static int joined_id;

static void *join(void *argument)
{
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, 0, 4, joined_id };

	(void)argument;
	CHECK(invoke(device, open_session_of(device, partner), JOIN, &param) == 0);
	return NULL;
}

/* Two calls at once on memory that is copied: their TAs see each other's writes. */
static void joins(void)
{
	static _Alignas(8) char bytes[8];
	struct tee_ioctl_param none = { 0 };
	pthread_t threads[2];

	CHECK(register_memory(device, bytes, 4, &joined_id) >= 0);
	for (int index = 0; index < 2; index++) {
		CHECK(pthread_create(&threads[index], NULL, join, NULL) == 0);
		/* The second call begins when the first TA has written. */
		CHECK(invoke(device, session, SOMEBODY_JOINED, &none) == 0);
	}
	for (int index = 0; index < 2; index++)
		CHECK(pthread_join(threads[index], NULL) == 0);
	CHECK(bytes[0] == 2);
}

enum { WRITERS = 3 };
static atomic_bool enough;

struct counter {
	_Atomic uint32_t *own;
	uint32_t made;
};

static void *count(void *argument)
{
	struct counter *counter = argument;

	do {
		atomic_fetch_add(counter->own, 1);
		counter->made++;
	} while (!atomic_load(&enough));
	return NULL;
}

static void start_writers(char *bytes, struct counter *counters, pthread_t *threads)
{
	for (int index = 0; index < WRITERS; index++) {
		counters[index].own = (_Atomic uint32_t *)(bytes + index * PAGE);
		CHECK(pthread_create(&threads[index], NULL, count, &counters[index]) == 0);
	}
	for (int index = 0; index < WRITERS; index++)
		while (atomic_load(counters[index].own) == 0)
			;
}

static void no_write_is_lost(struct counter *counters, pthread_t *threads)
{
	atomic_store(&enough, true);
	for (int index = 0; index < WRITERS; index++) {
		CHECK(pthread_join(threads[index], NULL) == 0);
		CHECK(atomic_load(counters[index].own) == counters[index].made);
	}
}

/* Threads write into a buffer while it is registered and given back. */
static void writers_at_registration(void)
{
	char *bytes = pages(MAP_PRIVATE);
	struct counter counters[WRITERS] = { 0 };
	pthread_t threads[WRITERS];

	start_writers(bytes, counters, threads);
	for (int round = 0; round < 20; round++) {
		int id, shm = register_memory(device, bytes, SIZE, &id);

		CHECK(shm >= 0 && close(shm) == 0);
	}
	no_write_is_lost(counters, threads);
}

/*
 * Threads write into a buffer that was remapped before they began, while it is given back: a large one, so that it takes
 * its time.
 */
static void writers_at_release(void)
{
	enum { LARGE = 512 * PAGE };
	char *bytes = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tee_ioctl_shm_alloc_data other = { .size = LARGE };
	struct counter counters[WRITERS] = { 0 };
	pthread_t threads[WRITERS];
	int id, shm = register_memory(device, bytes, LARGE, &id);

	CHECK(shm >= 0);
	start_writers(bytes, counters, threads);
	CHECK(close(shm) == 0);
	no_write_is_lost(counters, threads);
	/* It is as private memory, also for who drops its pages; whatever becomes of memory in the TEE. */
	shm = ioctl(device, TEE_IOC_SHM_ALLOC, &other);
	CHECK(shm >= 0);
	memset(mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0), 0x55, LARGE);
	CHECK(madvise(bytes, LARGE, MADV_DONTNEED) == 0);
	for (int index = 0; index < LARGE; index++)
		CHECK(bytes[index] == 0);
}

static void expect_exit(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Each has what was there at the fork; the memory that is registered is the parent's. */
static void forks(void)
{
	char *bytes = pages(MAP_PRIVATE);
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, 0, SIZE, 0 };
	int go[2], id, shm = register_memory(device, bytes, SIZE, &id);
	pid_t child;
	char byte;

	CHECK(shm >= 0 && pipe(go) == 0);
	memset(bytes, 1, SIZE);
	child = fork();
	if (child == 0) {
		CHECK(read(go[0], &byte, 1) == 1);
		for (int index = 0; index < SIZE; index++)
			CHECK(bytes[index] == 1);
		memset(bytes, 3, SIZE);
		param.c = id;
		CHECK(invoke(device, session, REVERSE, &param) == 0);
		for (int index = 0; index < SIZE; index++)
			CHECK(bytes[index] == 3);
		_exit(0);
	}
	fill(bytes, SIZE);
	CHECK(write(go[1], "", 1) == 1);
	expect_exit(child);
	for (int index = 0; index < SIZE; index++)
		CHECK(bytes[index] == (char)((SIZE - 1 - index) * 7 + 1));
	reverses(bytes, id, 0, SIZE);
	CHECK(close(shm) == 0);
}

/* A buffer registered twice, and two buffers that have a page in common; given back in either order. */
static void neighbours(void)
{
	char *bytes = pages(MAP_PRIVATE);

	for (int order = 0; order < 2; order++) {
		int ids[4], files[4];

		for (int index = 0; index < 2; index++)
			files[index] = register_memory(device, bytes, SIZE, &ids[index]);
		for (int index = 0; index < 2; index++) {
			CHECK(files[index] >= 0);
			reverses(bytes, ids[index], 0, SIZE);
		}
		CHECK(close(files[order]) == 0);
		reverses(bytes, ids[1 - order], 0, SIZE);
		CHECK(close(files[1 - order]) == 0);

		files[2] = register_memory(device, bytes, PAGE + 1000, &ids[2]);
		files[3] = register_memory(device, bytes + PAGE + 1000, 2 * PAGE - 1000, &ids[3]);
		fill(bytes, SIZE);
		reverses(bytes, ids[2], 0, PAGE + 1000);
		reverses(bytes + PAGE + 1000, ids[3], 0, 2 * PAGE - 1000);
		CHECK(close(files[2 + order]) == 0);
		CHECK(close(files[3 - order]) == 0);
	}
	shared(bytes, SIZE);
}

/* Whatever way its descriptor ends, the memory is the client's own again. */
static void endings(void)
{
	char *bytes = pages(MAP_PRIVATE);
	int other = open("/dev/null", O_RDWR), id, shm;

	for (int way = 0; way < 4; way++) {
		shm = register_memory(device, bytes, SIZE, &id);
		CHECK(shm >= 0);
		reverses(bytes, id, 0, SIZE);
		fill(bytes, SIZE);
		switch (way) {
		case 0:
			CHECK(dup2(other, shm) == shm && close(shm) == 0);
			break;
		case 1:
			CHECK(dup3(other, shm, O_CLOEXEC) == shm && close(shm) == 0);
			break;
		case 2:
			CHECK(close_range(shm, shm, 0) == 0);
			break;
		default:
			closefrom(shm);
		}
		for (int index = 0; index < SIZE; index++)
			CHECK(bytes[index] == (char)(index * 7 + 1));
	}
	shared(bytes, SIZE);
}

/* What the client maps in its place meanwhile stays, and so do rights that it took away. */
static void replaced(void)
{
	char *bytes = pages(MAP_PRIVATE);
	int id, shm = register_memory(device, bytes, SIZE, &id);

	CHECK(shm >= 0);
	memset(bytes, 1, SIZE);
	CHECK(mmap(bytes + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	memset(bytes + PAGE, 2, PAGE);
	CHECK(mprotect(bytes + 2 * PAGE, PAGE, PROT_READ) == 0);
	CHECK(close(shm) == 0);
	CHECK(bytes[0] == 1 && bytes[PAGE] == 2 && bytes[2 * PAGE - 1] == 2 && bytes[2 * PAGE] == 1);
	CHECK(register_memory(device, bytes, SIZE, &id) == -1 && errno == EFAULT);
	CHECK(munmap(bytes, SIZE) == 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "buffers", buffers },
		{ "others", others },
		{ "meets-new-thread", meets_new_thread },
		{ "meets-old-thread", meets_old_thread },
		{ "joins", joins },
		{ "writers-at-registration", writers_at_registration },
		{ "writers-at-release", writers_at_release },
		{ "forks", forks },
		{ "neighbours", neighbours },
		{ "endings", endings },
		{ "replaced", replaced },
	};

	device = open_device(0);
	session = open_session_of(device, partner);
	for (size_t index = 0; argc > 1 && index < sizeof(cases) / sizeof(*cases); index++)
		if (strcmp(argv[1], cases[index].name) == 0) {
			cases[index].run();
			return 0;
		}
	return 2;
}
