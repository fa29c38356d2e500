#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tee.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "connection.h"
#include "page.h"
#include "registered.h"

bool is_device_name(const char *path)
{
	static const char prefix[] = "/dev/tee";

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return false;
	path += sizeof(prefix) - 1;
	if (strncmp(path, "priv", 4) == 0)
		path += 4;
	return *path != '\0' && strspn(path, "0123456789") == strlen(path);
}

int device_open(const char *path, int flags)
{
	struct wire_greeting greeting;
	const char *name = path + sizeof("/dev/") - 1;

	return file_open(WIRE_OPEN, NULL, name, strlen(name), (flags & O_CLOEXEC) != 0, &greeting, NULL);
}

/* An argument that goes and comes as it stands. */
static long plain(const struct wire_greeting *file, uint32_t number, void *argument, size_t size)
{
	if (argument == NULL)
		return -EFAULT;
	return request(number, file->token, argument, size, false);
}

/* The params of an open-session or invoke argument; false when its numbers do not agree. */
static bool find_params(uint32_t number, char *body, size_t length, struct tee_ioctl_param **params, uint32_t *count)
{
	size_t head;

	if (number == _IOC_NR(TEE_IOC_OPEN_SESSION)) {
		head = sizeof(struct tee_ioctl_open_session_arg);
		if (length < head)
			return false;
		*count = ((struct tee_ioctl_open_session_arg *)body)->num_params;
	} else {
		head = sizeof(struct tee_ioctl_invoke_arg);
		if (length < head)
			return false;
		*count = ((struct tee_ioctl_invoke_arg *)body)->num_params;
	}
	*params = (struct tee_ioctl_param *)(body + head);
	return (length - head) / sizeof(**params) == *count && (length - head) % sizeof(**params) == 0;
}

static bool is_memref(const struct tee_ioctl_param *param)
{
	return param->attr >= TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INPUT &&
	       param->attr <= TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INOUT;
}

/* OPEN_SESSION and INVOKE: the argument is somewhere else, and names memory. */
static long call(const struct wire_greeting *file, uint32_t number, const struct tee_ioctl_buf_data *buffer)
{
	_Alignas(8) char body[WIRE_MAX_BODY];
	struct tee_ioctl_param before[WIRE_MAX_BODY / sizeof(struct tee_ioctl_param)];
	struct tee_ioctl_param *params;
	uint32_t count, index;
	int status;

	if (buffer == NULL)
		return -EFAULT;
	if (buffer->buf_len > sizeof(body))
		return -EINVAL;
	if (buffer->buf_ptr == 0)
		return -EFAULT;
	memcpy(body, (const void *)(uintptr_t)buffer->buf_ptr, buffer->buf_len);
	if (!find_params(number, body, buffer->buf_len, &params, &count))
		return -EINVAL;
	memcpy(before, params, count * sizeof(*params));
	for (index = 0; index < count; index++)
		if (is_memref(&before[index]))
			registered_copy_in(before[index].c, before[index].a, before[index].b);
	/* The identity of a session is that of who opens it, at this moment. */
	status = request(number, file->token, body, buffer->buf_len, number == _IOC_NR(TEE_IOC_OPEN_SESSION));
	for (index = 0; index < count; index++)
		if (is_memref(&before[index]) && before[index].attr != TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INPUT)
			registered_copy_out(before[index].c, before[index].a, before[index].b);
	if (status == 0)
		memcpy((void *)(uintptr_t)buffer->buf_ptr, body, buffer->buf_len);
	return status;
}

static long shm_alloc(const struct wire_greeting *file, struct tee_ioctl_shm_alloc_data *data)
{
	struct wire_greeting greeting;
	int fd;

	if (data == NULL)
		return -EFAULT;
	fd = file_open(_IOC_NR(TEE_IOC_SHM_ALLOC), file->token, data, sizeof(*data), false, &greeting, NULL);
	if (fd >= 0) {
		data->id = greeting.id;
		data->size = greeting.size;
	}
	return fd;
}

static long shm_register(const struct wire_greeting *file, struct tee_ioctl_shm_register_data *data)
{
	struct wire_greeting greeting;
	struct wire_register body;
	struct buffer buffer;
	int fd, memory, status;

	if (data == NULL)
		return -EFAULT;
	if (data->length > 0 && !is_writable(data->addr, data->length))
		return -EFAULT;
	buffer = buffer_to_register(data->addr, data->length);
	body = (struct wire_register){ data->addr, data->length, data->flags, data->id, buffer.way,
				       (buffer.end - buffer.begin) / PAGE };
	fd = file_open(_IOC_NR(TEE_IOC_SHM_REGISTER), file->token, &body, sizeof(body), false, &greeting, &memory);
	if (fd < 0)
		return fd;
	status = registered_add(fd, greeting.id, &buffer, memory, greeting.offset);
	close(memory);
	if (status < 0) {
		close(fd);
		return status;
	}
	data->id = greeting.id;
	return fd;
}

long device_ioctl(const struct wire_greeting *file, unsigned long request, void *argument)
{
	uint32_t number = _IOC_NR(request);

	/* Shared memory has no ioctls. */
	if (file->kind != WIRE_DEVICE)
		return -ENOTTY;
	switch (request) {
	case TEE_IOC_VERSION:
		return plain(file, number, argument, sizeof(struct tee_ioctl_version_data));
	case TEE_IOC_CANCEL:
		return plain(file, number, argument, sizeof(struct tee_ioctl_cancel_arg));
	case TEE_IOC_CLOSE_SESSION:
		return plain(file, number, argument, sizeof(struct tee_ioctl_close_session_arg));
	case TEE_IOC_OPEN_SESSION:
	case TEE_IOC_INVOKE:
		return call(file, number, argument);
	case TEE_IOC_SHM_ALLOC:
		return shm_alloc(file, argument);
	case TEE_IOC_SHM_REGISTER:
		return shm_register(file, argument);
	default:
		/* SUPPL_RECV and SUPPL_SEND are for the supplicant's device, which nobody gets. */
		return -EINVAL;
	}
}
