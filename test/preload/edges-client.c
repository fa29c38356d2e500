/*
 * A client at the edges of what the kernel allows. Each case is named by the first argument; it exits with 0, or with the
 * line of the check that failed.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tee-calls.h"

/* test/support/applications.ts */
enum { ADD = 1, REVERSE = 2, WHO_AM_I = 8 };
static const uint8_t user_ta[16] = { 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33,
				     0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55 };

#define FAILS(call, error) CHECK((call) == -1 && errno == (error))

static struct tee_ioctl_param memref(int id, uint64_t size)
{
	return (struct tee_ioctl_param){ TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT, 0, size, id };
}

static void reverse(int fd, uint32_t session, int id, uint64_t size)
{
	struct tee_ioctl_param param = memref(id, size);

	CHECK(invoke(fd, session, REVERSE, &param) == 0);
}

/* The server hears in its own time that nobody has the memory any more. */
static void gone(int fd, uint32_t session, int id)
{
	struct tee_ioctl_param param;
	int result;

	do {
		param = memref(id, 4);
		result = invoke(fd, session, REVERSE, &param);
	} while (result == 0);
	CHECK(result == -1 && errno == EINVAL);
}

static void add(int fd, uint32_t session)
{
	struct tee_ioctl_param param = { TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT, 40, 2, 0 };

	CHECK(invoke(fd, session, ADD, &param) == 0 && param.a == 42);
}

static int allocate(int fd, uint64_t size, int *id)
{
	struct tee_ioctl_shm_alloc_data data = { .size = size };
	int shm = ioctl(fd, TEE_IOC_SHM_ALLOC, &data);

	*id = data.id;
	return shm;
}

static char *map(int shm, size_t size)
{
	char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);

	CHECK(bytes != MAP_FAILED);
	return bytes;
}

/* Two opens, a buffer of each: calls on one have nothing of the other's. */
static void two_opens(void)
{
	int a = open_device(0), b = open_device(0), id_a, id_b;
	uint32_t session_a = open_session_of(a, user_ta), session_b = open_session_of(b, user_ta);
	char buffer_a[] = "of A", buffer_b[] = "of B";
	struct tee_ioctl_param param;

	CHECK(register_memory(a, buffer_a, 4, &id_a) >= 0 && register_memory(b, buffer_b, 4, &id_b) >= 0);
	CHECK(id_a != id_b);
	reverse(a, session_a, id_a, 4);
	CHECK(strcmp(buffer_a, "A fo") == 0 && strcmp(buffer_b, "of B") == 0);
	reverse(b, session_b, id_b, 4);
	CHECK(strcmp(buffer_a, "A fo") == 0 && strcmp(buffer_b, "B fo") == 0);
	param = memref(id_b, 4);
	FAILS(invoke(a, session_a, REVERSE, &param), EINVAL);
	CHECK(strcmp(buffer_b, "B fo") == 0);
}

/* As libteec does: the descriptor is closed right after the memory is mapped. */
static void mapped(void)
{
	int fd = open_device(0), other = open_device(0), id, second, shm = allocate(fd, 8192, &id);
	uint32_t session = open_session_of(fd, user_ta);
	char *bytes = map(shm, 8192), *others, *moved;

	CHECK(close(shm) == 0);
	memcpy(bytes, "abcd", 4);
	reverse(fd, session, id, 4);
	CHECK(memcmp(bytes, "dcba", 4) == 0);
	/* Nobody gets it meanwhile. */
	for (int round = 0; round < 50; round++) {
		shm = allocate(other, 8192, &second);
		others = map(shm, 8192);
		CHECK(second != id && close(shm) == 0);
		memset(others, 0x55, 8192);
		CHECK(munmap(others, 8192) == 0);
		CHECK(memcmp(bytes, "dcba", 4) == 0 && bytes[8191] == 0);
	}
	/* Not even when every descriptor is closed that there is. */
	for (int each = other + 1; each < 2048; each++)
		close(each);
	closefrom(other + 1);
	CHECK(close_range(other + 1, ~0u, 0) == 0);
	for (int each = 400; each < 410; each++)
		CHECK(dup2(0, each) == each);
	reverse(fd, session, id, 4);
	CHECK(memcmp(bytes, "abcd", 4) == 0);
	/* A part of it is unmapped, and another moved: what is left counts. */
	CHECK(munmap(bytes, 4096) == 0);
	reverse(fd, session, id, 4);
	moved = mremap(bytes + 4096, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, bytes);
	CHECK(moved == bytes);
	reverse(fd, session, id, 8192);
	CHECK(munmap(moved, 4096) == 0);
	gone(fd, session, id);
}

static void mapped_in_child(void)
{
	int fd = open_device(0), id, status, shm = allocate(fd, 4096, &id);
	uint32_t session = open_session_of(fd, user_ta);
	char *bytes = map(shm, 4096);

	CHECK(close(shm) == 0);
	if (fork() == 0) {
		memcpy(bytes, "abcd", 4);
		CHECK(munmap(bytes, 4096) == 0);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	reverse(fd, session, id, 4);
	CHECK(memcmp(bytes, "dcba", 4) == 0);
	CHECK(mmap(bytes, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == bytes);
	gone(fd, session, id);
}

/*
 * libteec of 2.4 and 2.5 asks for nothing but GP, allocates every piece of memory (SHM_ALLOC), maps it, closes its descriptor
 * at once, and sends four params whatever there is to say: those without use have attribute 0. A buffer of the program's own
 * is copied there and back. Kernels then took 1024 bytes of arguments.
 */
static void first_libteec(void)
{
	enum { SIZE = 6000 };
	struct tee_ioctl_version_data version;
	struct {
		struct tee_ioctl_open_session_arg head;
		struct tee_ioctl_param params[4];
	} open_arg = { .head = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC, .num_params = 4 } };
	struct tee_ioctl_buf_data data = { (uintptr_t)&open_arg, sizeof(open_arg) };
	struct tee_ioctl_close_session_arg close_arg;
	struct tee_ioctl_cancel_arg cancel_arg = { 0 };
	int fd = open_device(0), id, shm;

	CHECK(ioctl(fd, TEE_IOC_VERSION, &version) == 0);
	CHECK(version.impl_id == TEE_IMPL_ID_OPTEE && (version.gen_caps & TEE_GEN_CAP_GP) != 0);
	memcpy(open_arg.head.uuid, user_ta, 16);
	CHECK(ioctl(fd, TEE_IOC_OPEN_SESSION, &data) == 0 && open_arg.head.ret == 0);
	for (int round = 0; round < 300; round++) {
		struct {
			struct tee_ioctl_invoke_arg head;
			struct tee_ioctl_param params[4];
		} arg = { .head = { .func = REVERSE, .session = open_arg.head.session, .num_params = 4 } };
		char *bytes;

		shm = allocate(fd, SIZE, &id);
		CHECK(shm >= 0);
		bytes = map(shm, SIZE);
		CHECK(close(shm) == 0);
		for (int index = 0; index < SIZE; index++) {
			CHECK(bytes[index] == 0);
			bytes[index] = (char)(index + round);
		}
		arg.params[0] = memref(id, SIZE);
		data = (struct tee_ioctl_buf_data){ (uintptr_t)&arg, sizeof(arg) };
		CHECK(ioctl(fd, TEE_IOC_INVOKE, &data) == 0 && arg.head.ret == 0);
		CHECK(arg.params[0].b == SIZE);
		for (int index = 0; index < SIZE; index++)
			CHECK(bytes[index] == (char)(SIZE - 1 - index + round));
		CHECK(munmap(bytes, SIZE) == 0);
	}
	cancel_arg.session = open_arg.head.session;
	CHECK(ioctl(fd, TEE_IOC_CANCEL, &cancel_arg) == 0);
	close_arg.session = open_arg.head.session;
	CHECK(ioctl(fd, TEE_IOC_CLOSE_SESSION, &close_arg) == 0);
	FAILS(ioctl(fd, TEE_IOC_CLOSE_SESSION, &close_arg), EINVAL);
	CHECK(close(fd) == 0);
}

static void refuse_io(int fd)
{
	char bytes[128] = { 0 };
	struct iovec part = { bytes, sizeof(bytes) };

	FAILS(read(fd, bytes, sizeof(bytes)), EINVAL);
	FAILS(write(fd, bytes, sizeof(bytes)), EINVAL);
	FAILS(readv(fd, &part, 1), EINVAL);
	FAILS(writev(fd, &part, 1), EINVAL);
	FAILS(pread(fd, bytes, 1, 0), EINVAL);
	FAILS(pwrite(fd, bytes, 1, 0), EINVAL);
}

static void input_output(void)
{
	int fd = open_device(0), id, shm = allocate(fd, 4096, &id), own, own_id;
	uint32_t session = open_session_of(fd, user_ta);
	static char buffer[4096];

	refuse_io(fd);
	refuse_io(shm);
	add(fd, session);
	reverse(fd, session, id, 16);
	own = register_memory(fd, buffer, sizeof(buffer), &own_id);
	CHECK(own >= 0);
	refuse_io(own);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, own, 0) == MAP_FAILED && errno == EINVAL);
	/* Past the library, as the C library itself does it. */
	CHECK(dprintf(fd, "text") == 4 || errno == EINVAL);
	add(fd, session);
}

/* Ioctls of other files: what is for every file is done, the device knows no other (EINVAL), its memory none (ENOTTY). */
static void foreign_ioctls(void)
{
	static const unsigned long unknown[] = { TCGETS, TIOCGWINSZ, FIONREAD, TIOCOUTQ, SIOCGIFCONF, 0,
						 _IO(TEE_IOC_MAGIC, 99), _IOWR(TEE_IOC_MAGIC, 3, char[77]),
						 _IO('x', 4) };
	int fd = open_device(0), id, shm = allocate(fd, 4096, &id), other = open("/dev/null", O_RDWR), on = 1;
	uint32_t session = open_session_of(fd, user_ta);
	char bytes[256] = { 0 };

	CHECK(shm >= 0 && other >= 0);
	for (size_t index = 0; index < sizeof(unknown) / sizeof(*unknown); index++) {
		FAILS(ioctl(fd, unknown[index], bytes), EINVAL);
		FAILS(ioctl(shm, unknown[index], bytes), ENOTTY);
	}
	FAILS(ioctl(other, TCGETS, bytes), ENOTTY);
	CHECK(ioctl(fd, FIOCLEX) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(ioctl(fd, FIONCLEX) == 0 && fcntl(fd, F_GETFD) == 0);
	CHECK(ioctl(fd, FIONBIO, &on) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	/* Nobody is sent a signal by it. */
	FAILS(ioctl(fd, FIOASYNC, &on), ENOTTY);
	FAILS(ioctl(shm, FIOASYNC, &on), ENOTTY);
	FAILS(ioctl(fd, FIOASYNC, (void *)0x1000), EFAULT);
	on = 0;
	CHECK(ioctl(fd, FIOASYNC, &on) == 0 && ioctl(fd, FIONBIO, &on) == 0);
	FAILS(ioctl(-1, TCGETS, bytes), EBADF);
	add(fd, session);
}

static void pointers(void)
{
	static const unsigned long all[] = { TEE_IOC_VERSION,	TEE_IOC_OPEN_SESSION, TEE_IOC_INVOKE, TEE_IOC_CANCEL,
					     TEE_IOC_CLOSE_SESSION, TEE_IOC_SHM_ALLOC, TEE_IOC_SHM_REGISTER };
	void *bad[] = { NULL, (void *)0x1000, (void *)-1L, (void *)(1UL << 55), NULL };
	int fd = open_device(0), id;
	uint32_t session = open_session_of(fd, user_ta);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tee_ioctl_buf_data buffer;
	struct tee_ioctl_open_session_arg *open_arg = (void *)pages;
	struct tee_ioctl_param param;

	CHECK(munmap(pages + 4096, 4096) == 0);
	/* Begins in a page that is there, and ends in one that is not. */
	bad[4] = pages + 4096 - 2;
	for (size_t index = 0; index < sizeof(bad) / sizeof(*bad); index++) {
		for (size_t each = 0; each < sizeof(all) / sizeof(*all); each++)
			FAILS(ioctl(fd, all[each], bad[index]), EFAULT);
		buffer = (struct tee_ioctl_buf_data){ (uintptr_t)bad[index], sizeof(struct tee_ioctl_open_session_arg) };
		FAILS(ioctl(fd, TEE_IOC_OPEN_SESSION, &buffer), EFAULT);
		FAILS(ioctl(fd, TEE_IOC_INVOKE, &buffer), EFAULT);
		FAILS(register_memory(fd, bad[index], 100, &id), EFAULT);
	}
	/* What cannot be written: the argument is read all the same, and the session is not left open. */
	memcpy(open_arg->uuid, user_ta, 16);
	CHECK(mprotect(pages, 4096, PROT_READ) == 0);
	buffer = (struct tee_ioctl_buf_data){ (uintptr_t)open_arg, sizeof(*open_arg) };
	FAILS(ioctl(fd, TEE_IOC_OPEN_SESSION, &buffer), EFAULT);
	FAILS(ioctl(fd, TEE_IOC_VERSION, pages), EFAULT);
	FAILS(ioctl(fd, TEE_IOC_SHM_ALLOC, pages), EINVAL);
	/* Only read, by the kernel as well. */
	FAILS(ioctl(fd, TEE_IOC_CLOSE_SESSION, pages), EINVAL);
	/* A buffer that was registered and is unmapped, or may not be written to any more. */
	CHECK(mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0);
	CHECK(register_memory(fd, pages + 10, 100, &id) >= 0);
	CHECK(mprotect(pages, 4096, PROT_READ) == 0);
	param = memref(id, 100);
	CHECK(invoke(fd, session, REVERSE, &param) == 0);
	CHECK(munmap(pages, 4096) == 0);
	CHECK(invoke(fd, session, REVERSE, &param) == 0);
	add(fd, session);
}

static long resident_kib(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_maxrss;
}

/* An emulator is slow to map much: then less. */
static void huge(int last_shift)
{
	int fd = open_device(0), id;
	long before;

	for (int shift = 30; shift <= last_shift; shift += 2) {
		size_t length = 1UL << shift;
		void *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		CHECK(bytes != MAP_FAILED);
		before = resident_kib();
		FAILS(register_memory(fd, bytes, length, &id), ENOMEM);
		CHECK(resident_kib() - before < 16 * 1024);
		CHECK(munmap(bytes, length) == 0);
	}
	FAILS(register_memory(fd, &fd, 0, &id), ENOMEM);
	FAILS(register_memory(fd, &fd, ~0UL, &id), EFAULT);
	FAILS(allocate(fd, 0, &id), ENOMEM);
	FAILS(allocate(fd, ~0UL, &id), ENOMEM);
	FAILS(allocate(fd, 1UL << 30, &id), ENOMEM);
}

static void parameters(void)
{
	struct {
		struct tee_ioctl_invoke_arg head;
		struct tee_ioctl_param params[128];
	} arg = { .head = { .func = ADD } };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, 0 };
	int fd = open_device(0);

	arg.head.session = open_session_of(fd, user_ta);
	for (uint32_t count = 5; count <= 6; count++) {
		arg.head.num_params = count;
		data.buf_len = sizeof(arg.head) + count * sizeof(arg.params[0]);
		arg.head.ret = 0;
		CHECK(ioctl(fd, TEE_IOC_INVOKE, &data) == 0 && arg.head.ret == 0xffff0006);
	}
	for (uint32_t count = 7; count <= 128; count += 60) {
		arg.head.num_params = count;
		data.buf_len = sizeof(arg.head) + count * sizeof(arg.params[0]);
		FAILS(ioctl(fd, TEE_IOC_INVOKE, &data), EINVAL);
	}
}

/* Everything that an open file can do, with another root, folder and user than when it was opened. */
static void elsewhere(const char *user)
{
	int fd = open_device(0), id, shm;
	static char buffer[100] = "ab";
	uint32_t session;
	char *bytes;

	CHECK(chdir("/") == 0);
	if (user != NULL) {
		CHECK(chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0);
		CHECK(setgroups(0, NULL) == 0 && setgid(atoi(user)) == 0 && setuid(atoi(user)) == 0);
	}
	session = open_session_of(fd, user_ta);
	add(fd, session);
	shm = allocate(fd, 4096, &id);
	CHECK(shm >= 0);
	bytes = map(shm, 4096);
	memcpy(bytes, "ab", 2);
	reverse(fd, session, id, 2);
	CHECK(memcmp(bytes, "ba", 2) == 0);
	CHECK(register_memory(fd, buffer, 2, &id) >= 0);
	reverse(fd, session, id, 2);
	CHECK(memcmp(buffer, "ba", 2) == 0);
}

/* Hands in at the door of a file (docs/serve.md) what is no connection. */
static void door(void)
{
	int fd = open_device(0), pair[2], all[6], door_fd;
	uint32_t session = open_session_of(fd, user_ta);
	char bytes[64];
	struct iovec part = { bytes, sizeof(bytes) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	CHECK(recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT) == 64);
	CHECK(CMSG_FIRSTHDR(&message) != NULL);
	memcpy(&door_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	all[0] = open("/dev/zero", O_RDONLY);
	all[1] = open("/", O_RDONLY | O_DIRECTORY);
	all[2] = socket(AF_INET, SOCK_STREAM, 0);
	all[3] = socket(AF_UNIX, SOCK_STREAM, 0);
	all[4] = socket(AF_UNIX, SOCK_DGRAM, 0);
	/* A connection, on which comes no request. */
	all[5] = pair[0];
	part.iov_len = 1;
	for (int index = 0; index < 6; index++) {
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &all[index], sizeof(int));
		CHECK(sendmsg(door_fd, &message, 0) == 1);
		/* And bytes that bring nothing. */
		CHECK(send(door_fd, "x", 1, 0) == 1);
	}
	CHECK(close(pair[0]) == 0);
	CHECK(send(pair[1], "no request of any kind, but as long as the head of one is", 57, 0) == 57);
	CHECK(send(fd, "knock", 5, 0) == 5);
	/* The server hangs up. */
	CHECK(recv(pair[1], bytes, sizeof(bytes), 0) <= 0);
	add(fd, session);
	add(fd, open_session_of(fd, user_ta));
}

/* Says its client UUID, of a user login, as it was at first and as it is now. */
static void login(const char *user)
{
	int fd = open_device(0), id, shm = allocate(fd, 4096, &id);
	char *bytes = map(shm, 4096);

	for (int time = 0; time < 2; time++) {
		struct {
			struct tee_ioctl_open_session_arg head;
		} open_arg = { .head = { .clnt_login = TEE_IOCTL_LOGIN_USER } };
		struct tee_ioctl_buf_data data = { (uintptr_t)&open_arg, sizeof(open_arg) };
		struct {
			struct tee_ioctl_invoke_arg head;
			struct tee_ioctl_param params[2];
		} arg = { .head = { .func = WHO_AM_I, .num_params = 2 } };

		memcpy(open_arg.head.uuid, user_ta, 16);
		CHECK(ioctl(fd, TEE_IOC_OPEN_SESSION, &data) == 0 && open_arg.head.ret == 0);
		arg.head.session = open_arg.head.session;
		arg.params[0].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT;
		arg.params[1] = memref(id, 36);
		data = (struct tee_ioctl_buf_data){ (uintptr_t)&arg, sizeof(arg) };
		CHECK(ioctl(fd, TEE_IOC_INVOKE, &data) == 0 && arg.head.ret == 0);
		printf("%.36s\n", bytes);
		if (time == 0)
			CHECK(setgid(atoi(user)) == 0 && setuid(atoi(user)) == 0);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "two-opens") == 0)
		two_opens();
	else if (strcmp(name, "mapped") == 0)
		mapped();
	else if (strcmp(name, "mapped-in-child") == 0)
		mapped_in_child();
	else if (strcmp(name, "input-output") == 0)
		input_output();
	else if (strcmp(name, "pointers") == 0)
		pointers();
	else if (strcmp(name, "foreign-ioctls") == 0)
		foreign_ioctls();
	else if (strcmp(name, "first-libteec") == 0)
		first_libteec();
	else if (strcmp(name, "huge") == 0)
		huge(atoi(argv[2]));
	else if (strcmp(name, "parameters") == 0)
		parameters();
	else if (strcmp(name, "elsewhere") == 0)
		elsewhere(argc > 2 ? argv[2] : NULL);
	else if (strcmp(name, "door") == 0)
		door();
	else if (strcmp(name, "login") == 0)
		login(argv[2]);
	else
		return 2;
	return 0;
}
