/*
 * In the place of a kernel that has TEE_IOC_SHM_REGISTER_FD, for a device that has not: the memory of the descriptor is memory
 * that the device allocates, of the same size. Loaded ahead of the preload library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* linux/tee.h; older headers have not the second. */
struct allocation { uint64_t size; uint32_t flags; int32_t id; };
struct registration { int64_t fd; uint64_t size; uint32_t flags; int32_t id; };
#define SHM_ALLOC _IOWR(0xa4, 1, struct allocation)
#define SHM_REGISTER_FD _IOWR(0xa4, 8, struct registration)

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	struct registration *wanted;
	struct stat file;
	va_list arguments;
	int memory;

	va_start(arguments, request);
	wanted = va_arg(arguments, void *);
	va_end(arguments);
	if ((uint32_t)request != (uint32_t)SHM_REGISTER_FD)
		return next(fd, request, wanted);
	if (fstat((int)wanted->fd, &file))
		return -1;
	if (wanted->flags || file.st_size == 0) {
		errno = EINVAL;
		return -1;
	}
	struct allocation made = { file.st_size, 0, 0 };
	memory = next(fd, SHM_ALLOC, &made);
	if (memory < 0)
		return -1;
	wanted->size = file.st_size;
	wanted->id = made.id;
	return memory;
}
