/* The ioctls of /dev/tee0, for clients that call them themselves. What fails ends the program, with the line that saw it. */
#ifndef TEE_CALLS_H
#define TEE_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/tee.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHECK(condition)                                                                                              \
	do {                                                                                                          \
		if (!(condition)) {                                                                                   \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));                  \
			_exit(1);                                                                                     \
		}                                                                                                     \
	} while (0)

static inline int open_device(int flags)
{
	int fd = open("/dev/tee0", O_RDWR | flags);

	CHECK(fd >= 0);
	return fd;
}

static inline uint32_t open_session_of(int fd, const uint8_t *uuid)
{
	struct tee_ioctl_open_session_arg arg = { 0 };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, sizeof(arg) };

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	CHECK(ioctl(fd, TEE_IOC_OPEN_SESSION, &data) == 0);
	CHECK(arg.ret == 0);
	return arg.session;
}

static inline int invoke(int fd, uint32_t session, uint32_t command, struct tee_ioctl_param *param)
{
	struct {
		struct tee_ioctl_invoke_arg head;
		struct tee_ioctl_param param;
	} arg = { .head = { .func = command, .session = session, .num_params = 1 }, .param = *param };
	struct tee_ioctl_buf_data data = { (uintptr_t)&arg, sizeof(arg) };

	if (ioctl(fd, TEE_IOC_INVOKE, &data) != 0)
		return -1;
	*param = arg.param;
	return arg.head.ret;
}

static inline int register_memory(int fd, void *address, size_t length, int *id)
{
	struct tee_ioctl_shm_register_data data = { (uintptr_t)address, length, 0, 0 };
	int shm = ioctl(fd, TEE_IOC_SHM_REGISTER, &data);

	*id = data.id;
	return shm;
}

#endif
