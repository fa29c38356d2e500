/*
 * A client that calls the ioctls itself. Each case is named by the first argument; it exits with 0, or with the line of
 * the check that failed.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tee-calls.h"

/* test/support/applications.ts */
enum { ADD = 1, REVERSE = 2, ASK = 5 };
static const uint8_t user_ta[16] = { 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33,
				     0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55 };

static uint32_t open_session(int fd)
{
	return open_session_of(fd, user_ta);
}

static void add(int fd, uint32_t session, uint32_t a, uint32_t b)
{
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT, a, b, 0 };

	CHECK(invoke(fd, session, ADD, &param) == 0);
	CHECK(param.a == a + b);
}

static void values(void)
{
	struct tee_ioctl_version_data version;
	struct tee_ioctl_buf_data nothing = { (uintptr_t)&version, 8 };
	struct pollfd poll_fd = { .events = POLLIN | POLLOUT };
	int fd = open_device(0), other;

	CHECK(ioctl(fd, TEE_IOC_VERSION, &version) == 0);
	CHECK(version.impl_id == TEE_IMPL_ID_OPTEE && version.gen_caps & TEE_GEN_CAP_REG_MEM);
	add(fd, open_session(fd), 40, 2);
	other = openat(AT_FDCWD, "/dev/tee0", O_RDWR | O_CLOEXEC);
	CHECK(other >= 0);
	CHECK(fcntl(fd, F_GETFD) == 0 && fcntl(other, F_GETFD) == FD_CLOEXEC);
	poll_fd.fd = fd;
	CHECK(poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == (POLLIN | POLLOUT));
	CHECK(open("/dev/tee1", O_RDWR) == -1 && errno == ENOENT);
	CHECK(open("/dev/teepriv0", O_RDWR) == -1 && errno == EBUSY);
	CHECK(ioctl(fd, TEE_IOC_SUPPL_RECV, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(fd, TEE_IOC_SUPPL_RECV, &nothing) == -1 && errno == EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	other = open("/dev/null", O_RDWR);
	CHECK(ioctl(other, TEE_IOC_VERSION, &version) == -1 && errno == ENOTTY);
}

static void reverse(int fd, uint32_t session, int id, uint64_t offset, uint64_t size)
{
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, offset, size, id };

	CHECK(invoke(fd, session, REVERSE, &param) == 0);
}

static void check_reversed(const char *bytes, const char *before, size_t length)
{
	for (size_t index = 0; index < length; index++)
		CHECK(bytes[index] == before[length - 1 - index]);
}

static void memory(void)
{
	static const char text[] = "the same page on both sides";
	struct tee_ioctl_shm_alloc_data data = { .size = 5000 };
	int fd = open_device(0), shm = ioctl(fd, TEE_IOC_SHM_ALLOC, &data);
	uint32_t session = open_session(fd);
	char *bytes;

	CHECK(shm >= 0 && data.size == 8192 && data.id > 0);
	bytes = mmap(NULL, data.size, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
	CHECK(bytes != MAP_FAILED && bytes[0] == 0 && bytes[8191] == 0);
	memcpy(bytes + 4090, text, sizeof(text));
	reverse(fd, session, data.id, 4090, sizeof(text));
	check_reversed(bytes + 4090, text, sizeof(text));
	CHECK(mmap(NULL, 8193, PROT_READ, MAP_SHARED, shm, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, shm, 8192) == MAP_FAILED && errno == EINVAL);
	CHECK(ioctl(shm, TEE_IOC_VERSION, bytes) == -1 && errno == ENOTTY);
	CHECK(close(shm) == 0);
}

/* A buffer of the client's own, somewhere in the middle of pages that hold other things too. */
static void registered(void)
{
	int fd = open_device(0), id, shm;
	uint32_t session = open_session(fd);
	size_t length = 10000;
	char *around = malloc(length + 200), *bytes = around + 100, *before = malloc(length);
	void *constant = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t index = 0; index < length; index++)
		bytes[index] = before[index] = index * 7;
	around[99] = bytes[length] = 0x55;
	shm = register_memory(fd, bytes, length, &id);
	CHECK(shm >= 0);
	reverse(fd, session, id, 0, length);
	check_reversed(bytes, before, length);
	reverse(fd, session, id, 0, length);
	reverse(fd, session, id, 10, 20);
	check_reversed(bytes + 10, before + 10, 20);
	CHECK(memcmp(bytes + 30, before + 30, length - 30) == 0);
	CHECK(around[99] == 0x55 && bytes[length] == 0x55);
	CHECK(close(shm) == 0);
	bytes[0] = 1;

	CHECK(mprotect((char *)constant + 4096, 4096, PROT_READ) == 0);
	CHECK(register_memory(fd, constant, 4096, &id) >= 0);
	CHECK(register_memory(fd, constant, 4097, &id) == -1 && errno == EFAULT);
	CHECK(register_memory(fd, NULL, 4096, &id) == -1 && errno == EFAULT);
	CHECK(register_memory(fd, bytes, 0, &id) == -1 && errno == ENOMEM);
}

/* Parent and children call on one file, all at the same time, each on a session of the file's. */
static void forked(void)
{
	enum { CHILDREN = 4, CALLS = 100 };
	int fd = open_device(0), status;
	uint32_t sessions[CHILDREN + 1];

	for (int index = 0; index <= CHILDREN; index++)
		sessions[index] = open_session(fd);
	for (int index = 0; index < CHILDREN; index++) {
		if (fork() != 0)
			continue;
		for (int call = 0; call < CALLS; call++)
			add(fd, sessions[index], 1000 * index, call);
		_exit(0);
	}
	for (int call = 0; call < CALLS; call++)
		add(fd, sessions[CHILDREN], 1000 * CHILDREN, call);
	for (int index = 0; index < CHILDREN; index++)
		CHECK(wait(&status) > 0 && status == 0);
}

/* Another program, which knows nothing but the number of a descriptor. */
static void executed(const char *program)
{
	int fd = open_device(0), other = dup(fd);
	char number[20], session[20];

	CHECK(other >= 0 && close(fd) == 0);
	snprintf(number, sizeof(number), "%d", other);
	snprintf(session, sizeof(session), "%u", open_session(other));
	execl(program, program, "inherited", number, session, NULL);
	CHECK(!"executed");
}

static int shared_fd;

static void *thread(void *argument)
{
	uint32_t session = open_session(shared_fd);

	for (uint32_t call = 0; call < 100; call++)
		add(shared_fd, session, (uintptr_t)argument, call);
	return NULL;
}

static void threads(void)
{
	pthread_t all[8];

	shared_fd = open_device(0);
	for (uintptr_t index = 0; index < 8; index++)
		CHECK(pthread_create(&all[index], NULL, thread, (void *)(index * 1000)) == 0);
	for (int index = 0; index < 8; index++)
		CHECK(pthread_join(all[index], NULL) == 0);
}

/* Somebody closes every descriptor there is, and its number becomes another file's. */
static void careless(void)
{
	int fd = open_device(0);

	add(fd, open_session(fd), 1, 1);
	for (int each = 3; each < 1024; each++)
		close(each);
	for (int each = 0; each < 1000; each++)
		CHECK(open("/dev/null", O_RDWR) >= 0);
	errno = 0;
	CHECK(ioctl(fd, TEE_IOC_VERSION, NULL) == -1 && errno == ENOTTY);
	close(fd);
	fd = open_device(0);
	add(fd, open_session(fd), 1, 1);
}

static uint32_t random_state;

static uint32_t below(uint32_t limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % limit;
}

static int try_session(int fd, const uint8_t *uuid)
{
	struct tee_ioctl_open_session_arg arg = { 0 };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, sizeof(arg) };

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	/* A TA may have no room for one more: then it says so. */
	CHECK(ioctl(fd, TEE_IOC_OPEN_SESSION, &data) == 0);
	return arg.ret == 0 ? (int)arg.session : -1;
}

/*
 * Does one thing after the other until it is killed, and says a byte for each. What the TA answers is its business; that
 * it is reached is ours.
 */
static void stress(char **arguments)
{
	uint8_t uuid[16];
	char *buffer = malloc(70000);

	random_state = strtoul(arguments[0], NULL, 10);
	for (int index = 0; index < 16; index++)
		CHECK(sscanf(arguments[1] + 2 * index, "%2hhx", &uuid[index]) == 1);
	for (;;) {
		int fd = open_device(0), session = try_session(fd, uuid);

		for (uint32_t left = below(20); left > 0 && session >= 0; left--) {
			struct tee_ioctl_shm_alloc_data data = { .size = 1 + below(40000) };
			struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT, 1, below(100), 0 };
			int shm, id;

			switch (below(4)) {
			case 0:
				shm = ioctl(fd, TEE_IOC_SHM_ALLOC, &data);
				CHECK(shm >= 0);
				CHECK(*(char *)mmap(NULL, data.size, PROT_READ, MAP_SHARED, shm, 0) == 0);
				param = (struct tee_ioctl_param){ TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, 0,
								  1 + below(data.size), data.id };
				CHECK(invoke(fd, session, REVERSE, &param) >= -1);
				if (below(2) == 0)
					close(shm);
				break;
			case 1:
				shm = register_memory(fd, buffer + below(5000), 1 + below(60000), &id);
				CHECK(shm >= 0);
				param = (struct tee_ioctl_param){ TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, 0, 1, id };
				CHECK(invoke(fd, session, REVERSE, &param) >= -1);
				close(shm);
				break;
			default:
				invoke(fd, session, ADD, &param);
			}
			CHECK(write(STDOUT_FILENO, ".", 1) == 1);
		}
		/* What is left open goes with the file. */
		for (int each = fd; each < 100; each++)
			close(each);
		CHECK(write(STDOUT_FILENO, ".", 1) == 1);
	}
}

/* Never comes back. */
static void hang(void)
{
	struct tee_ioctl_param param = { 0 };
	int fd = open_device(0);

	invoke(fd, open_session(fd), ASK, &param);
	CHECK(!"came back");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "values") == 0)
		values();
	else if (strcmp(name, "memory") == 0)
		memory();
	else if (strcmp(name, "registered") == 0)
		registered();
	else if (strcmp(name, "forked") == 0)
		forked();
	else if (strcmp(name, "executed") == 0)
		executed(argv[0]);
	else if (strcmp(name, "inherited") == 0)
		add(atoi(argv[2]), atoi(argv[3]), 3, 4);
	else if (strcmp(name, "threads") == 0)
		threads();
	else if (strcmp(name, "careless") == 0)
		careless();
	else if (strcmp(name, "stress") == 0)
		stress(argv + 2);
	else if (strcmp(name, "hang") == 0)
		hang();
	else
		return 2;
	return 0;
}
