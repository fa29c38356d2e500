/*
 * The functions of the C library with which a client accesses the TEE. Calls that do not concern the server's files are
 * passed to the next definition of the function. A file of the server is a connection, so the kernel itself handles
 * dup, fork, exec, descriptor passing, poll, and closing when the last owner ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tee.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "connection.h"
#include "device.h"
#include "mapped.h"
#include "registered.h"

#define EXPORT __attribute__((visibility("default")))
#define NEXT(name)                                                                                                    \
	({                                                                                                            \
		static __typeof__(&(name)) next;                                                                      \
		if (next == NULL)                                                                                     \
			next = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name);                                          \
		next;                                                                                                 \
	})

/* Returns a result, or sets errno from a negative errno. */
static long settle(long result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/*
 * Under a launcher, the client has another architecture. Programs that it starts could not load this library and would
 * print an error; the launcher loads it again.
 */
__attribute__((constructor)) static void leave_no_trace(void)
{
	if (getenv("NORMALWORLD_LAUNCHED") != NULL)
		unsetenv("LD_PRELOAD");
}

/* Whether this process has, or had, a file of the server. Until then, reads and writes need no check. */
static bool is_client;

static bool concerns_us(const char *path)
{
	if (path == NULL || !is_device_name(path) || !server_is_named())
		return false;
	is_client = true;
	return true;
}

static mode_t mode_argument(int flags, va_list arguments)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                                                                             \
	EXPORT int name(const char *path, int flags, ...)                                                             \
	{                                                                                                             \
		va_list arguments;                                                                                    \
		mode_t mode;                                                                                          \
                                                                                                                      \
		if (concerns_us(path))                                                                                \
			return settle(device_open(path, flags));                                                      \
		va_start(arguments, flags);                                                                           \
		mode = mode_argument(flags, arguments);                                                               \
		va_end(arguments);                                                                                    \
		return NEXT(name)(path, flags, mode);                                                                 \
	}

#define DEFINE_OPENAT(name)                                                                                           \
	EXPORT int name(int folder, const char *path, int flags, ...)                                                 \
	{                                                                                                             \
		va_list arguments;                                                                                    \
		mode_t mode;                                                                                          \
                                                                                                                      \
		if (concerns_us(path))                                                                                \
			return settle(device_open(path, flags));                                                      \
		va_start(arguments, flags);                                                                           \
		mode = mode_argument(flags, arguments);                                                               \
		va_end(arguments);                                                                                    \
		return NEXT(name)(folder, path, flags, mode);                                                         \
	}

/* The variants that headers with _FORTIFY_SOURCE call. */
#define DEFINE_CHECKED_OPEN(name)                                                                                     \
	int name(const char *path, int flags);                                                                        \
	EXPORT int name(const char *path, int flags)                                                                  \
	{                                                                                                             \
		return concerns_us(path) ? settle(device_open(path, flags)) : NEXT(name)(path, flags);                \
	}

#define DEFINE_CHECKED_OPENAT(name)                                                                                   \
	int name(int folder, const char *path, int flags);                                                            \
	EXPORT int name(int folder, const char *path, int flags)                                                      \
	{                                                                                                             \
		return concerns_us(path) ? settle(device_open(path, flags)) : NEXT(name)(folder, path, flags);        \
	}

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)
DEFINE_CHECKED_OPEN(__open_2)
DEFINE_CHECKED_OPEN(__open64_2)
DEFINE_CHECKED_OPENAT(__openat_2)
DEFINE_CHECKED_OPENAT(__openat64_2)

/* A descriptor that a mapping keeps is not visible to the program, which may close it together with all others. */
EXPORT int close(int fd)
{
	if (mapped_any() && mapped_keeps(fd)) {
		errno = EBADF;
		return -1;
	}
	if (fd >= 0)
		registered_close(fd, fd);
	return NEXT(close)(fd);
}

/* For other functions that close descriptors. Returns false if the number cannot be freed. */
static bool about_to_become(int fd, int other)
{
	if (fd == other || other < 0 || fcntl(fd, F_GETFD) < 0)
		return true;
	registered_close(other, other);
	if (!mapped_any() || !mapped_keeps(other) || mapped_move(other))
		return true;
	errno = EBUSY;
	return false;
}

EXPORT int dup2(int fd, int other)
{
	return about_to_become(fd, other) ? NEXT(dup2)(fd, other) : -1;
}

EXPORT int dup3(int fd, int other, int flags)
{
	return about_to_become(fd, other) ? NEXT(dup3)(fd, other, flags) : -1;
}

/* Close a range except the descriptors that mappings keep. */
static int close_pieces(unsigned int first, unsigned int last, int flags)
{
	for (;;) {
		unsigned int kept = mapped_first(first);

		if (kept > last)
			return syscall(SYS_close_range, first, last, flags);
		if (kept > first && syscall(SYS_close_range, first, kept - 1, flags) != 0)
			return -1;
		if (kept == last)
			return 0;
		first = kept + 1;
	}
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	if ((flags & CLOSE_RANGE_CLOEXEC) != 0 || first > last)
		return syscall(SYS_close_range, first, last, flags);
	registered_close(first, last);
	return close_pieces(first, last, flags);
}

EXPORT void closefrom(int first)
{
	unsigned int from = first < 0 ? 0 : first;

	registered_close(from, UINT_MAX);
	if (!mapped_any() || close_pieces(from, UINT_MAX, 0) != 0)
		NEXT(closefrom)(first);
}

/* Kernel TEE devices support neither read nor write. */
static bool refuses_io(int fd)
{
	struct wire_greeting file;

	if (!is_client || !file_greeting(fd, &file, NULL))
		return false;
	errno = EINVAL;
	return true;
}

#define DEFINE_IO(result, name, parameters, arguments)                                                                \
	EXPORT result name parameters                                                                                 \
	{                                                                                                             \
		return refuses_io(fd) ? -1 : NEXT(name) arguments;                                                    \
	}

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room);

DEFINE_IO(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size))
DEFINE_IO(ssize_t, __read_chk, (int fd, void *buffer, size_t size, size_t room), (fd, buffer, size, room))
DEFINE_IO(ssize_t, pread, (int fd, void *buffer, size_t size, off_t offset), (fd, buffer, size, offset))
DEFINE_IO(ssize_t, pread64, (int fd, void *buffer, size_t size, off64_t offset), (fd, buffer, size, offset))
DEFINE_IO(ssize_t, __pread_chk, (int fd, void *buffer, size_t size, off_t offset, size_t room),
	  (fd, buffer, size, offset, room))
DEFINE_IO(ssize_t, __pread64_chk, (int fd, void *buffer, size_t size, off64_t offset, size_t room),
	  (fd, buffer, size, offset, room))
DEFINE_IO(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
DEFINE_IO(ssize_t, preadv, (int fd, const struct iovec *parts, int count, off_t offset), (fd, parts, count, offset))
DEFINE_IO(ssize_t, write, (int fd, const void *buffer, size_t size), (fd, buffer, size))
DEFINE_IO(ssize_t, pwrite, (int fd, const void *buffer, size_t size, off_t offset), (fd, buffer, size, offset))
DEFINE_IO(ssize_t, pwrite64, (int fd, const void *buffer, size_t size, off64_t offset), (fd, buffer, size, offset))
DEFINE_IO(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
DEFINE_IO(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t offset), (fd, parts, count, offset))

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct wire_greeting file;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	/* Callers that pass an int sign-extend it. */
	request = (unsigned int)request;
	if ((_IOC_TYPE(request) == TEE_IOC_MAGIC || (is_client && !is_for_every_file(request))) &&
	    file_greeting(fd, &file, NULL)) {
		is_client = true;
		return settle(device_ioctl(fd, &file, request, argument));
	}
	return NEXT(ioctl)(fd, request, argument);
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	if ((flags & MAP_FIXED) != 0 && mapped_any())
		return (void *)mapped_mmap_over(address, length, protection, flags, fd, offset);
	/* Without NEXT, because allocators call mmap before symbols can be looked up, and during the look-up. */
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	struct wire_greeting file;
	uint64_t room;
	void *mapped = MAP_FAILED;
	int memory, status = 0;

	if (fd < 0 || (flags & MAP_ANONYMOUS) != 0 || !file_greeting(fd, &file, &memory))
		return map(address, length, protection, flags, fd, offset);
	is_client = true;
	room = (file.size + 4095) & ~4095ull;
	if (file.kind == WIRE_DEVICE)
		status = -ENODEV;
	else if (file.kind != WIRE_SHARED_MEMORY || offset < 0 || (uint64_t)offset > room ||
		 length > room - (uint64_t)offset)
		status = -EINVAL;
	else if (memory < 0)
		status = -EMFILE;
	else
		status = mapped_mmap(&file, fd, memory, &mapped, address, length, protection, flags, offset);
	if (memory >= 0)
		close(memory);
	if (status < 0)
		errno = -status;
	return mapped;
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mmap64(address, length, protection, flags, fd, offset);
}

EXPORT int munmap(void *address, size_t length)
{
	return mapped_any() ? mapped_munmap(address, length) : syscall(SYS_munmap, address, length);
}

EXPORT void *mremap(void *old_address, size_t old_size, size_t new_size, int flags, ...)
{
	void *new_address = NULL;
	va_list arguments;

	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
		va_start(arguments, flags);
		new_address = va_arg(arguments, void *);
		va_end(arguments);
	}
	if (mapped_any())
		return (void *)mapped_mremap(old_address, old_size, new_size, flags, new_address);
	return (void *)syscall(SYS_mremap, old_address, old_size, new_size, flags, new_address);
}
