/*
 * The functions of the C library by which a client reaches the TEE. What does not concern the server's files goes on to
 * the next of that name. A file of the server's is a connection, so the kernel does what it does with every file: dup,
 * fork, exec, passing it on, poll, and closing it when its last owner goes, however he goes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tee.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connection.h"
#include "device.h"
#include "registered.h"

#define EXPORT __attribute__((visibility("default")))
#define NEXT(name)                                                                                                    \
	({                                                                                                            \
		static __typeof__(&(name)) next;                                                                      \
		if (next == NULL)                                                                                     \
			next = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name);                                          \
		next;                                                                                                 \
	})

/* A result with a negative errno in it, as the C library gives it. */
static long settle(long result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/*
 * Under a launcher the machine is another than ours: what the client starts there could not load us, and complains. The
 * launcher itself loads us again.
 */
__attribute__((constructor)) static void leave_no_trace(void)
{
	if (getenv("NORMALWORLD_LAUNCHED") != NULL)
		unsetenv("LD_PRELOAD");
}

static bool concerns_us(const char *path)
{
	return path != NULL && is_device_name(path) && server_is_named();
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

/* What the C library's checked headers (_FORTIFY_SOURCE) call instead. */
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

EXPORT int close(int fd)
{
	if (fd >= 0)
		registered_close(fd, fd);
	return NEXT(close)(fd);
}

/* What else closes descriptors. */
static void about_to_become(int fd, int other)
{
	if (fd != other && other >= 0 && fcntl(fd, F_GETFD) >= 0)
		registered_close(other, other);
}

EXPORT int dup2(int fd, int other)
{
	about_to_become(fd, other);
	return NEXT(dup2)(fd, other);
}

EXPORT int dup3(int fd, int other, int flags)
{
	about_to_become(fd, other);
	return NEXT(dup3)(fd, other, flags);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	if ((flags & CLOSE_RANGE_CLOEXEC) == 0)
		registered_close(first, last);
	return syscall(SYS_close_range, first, last, flags);
}

EXPORT void closefrom(int first)
{
	registered_close(first < 0 ? 0 : first, UINT_MAX);
	NEXT(closefrom)(first);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct wire_greeting file;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	/* Where int was meant, the sign has been extended. */
	request = (unsigned int)request;
	if (_IOC_TYPE(request) == TEE_IOC_MAGIC && file_greeting(fd, &file, NULL))
		return settle(device_ioctl(&file, request, argument));
	return NEXT(ioctl)(fd, request, argument);
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	/* Not by NEXT: allocators map before anything can be looked up, and to look it up. */
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	struct wire_greeting file;
	uint64_t room;
	void *mapped = MAP_FAILED;
	int memory;

	if (fd < 0 || (flags & MAP_ANONYMOUS) != 0 || !file_greeting(fd, &file, &memory))
		return map(address, length, protection, flags, fd, offset);
	room = (file.size + 4095) & ~4095ull;
	if (file.kind != WIRE_SHARED_MEMORY)
		errno = ENODEV;
	else if (offset < 0 || (uint64_t)offset > room || length > room - (uint64_t)offset)
		errno = EINVAL;
	else
		mapped = map(address, length, protection, flags, memory, file.offset + offset);
	if (memory >= 0)
		close(memory);
	return mapped;
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mmap64(address, length, protection, flags, fd, offset);
}
