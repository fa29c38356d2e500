#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/tee.h>
#include <string.h>
#include <sys/ioctl.h>
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

	return device_file_open(path + sizeof("/dev/") - 1, (flags & O_CLOEXEC) != 0, &greeting);
}

/* Copies from and to addresses of the client; invalid ones give EFAULT, as from the kernel. */
static bool from_client(void *into, const void *from, size_t size)
{
	if (!is_readable((uintptr_t)from, size))
		return false;
	memcpy(into, from, size);
	return true;
}

static bool to_client(void *to, const void *from, size_t size)
{
	if (!is_writable((uintptr_t)to, size))
		return false;
	memcpy(to, from, size);
	return true;
}

static long version(int fd, const struct wire_greeting *file, void *argument)
{
	struct tee_ioctl_version_data data = { 0 };
	int status = request(fd, _IOC_NR(TEE_IOC_VERSION), file->token, &data, sizeof(data), false);

	if (status == 0 && !to_client(argument, &data, sizeof(data)))
		status = -EFAULT;
	return status;
}

/* CANCEL and CLOSE_SESSION have no outputs. */
static long one_way(int fd, const struct wire_greeting *file, uint32_t number, const void *argument, size_t size)
{
	char body[sizeof(struct tee_ioctl_cancel_arg)];

	if (!from_client(body, argument, size))
		return -EFAULT;
	return request(fd, number, file->token, body, size, false);
}

/* The params of an open-session or invoke argument; false if its sizes are inconsistent. */
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

/* OPEN_SESSION and INVOKE: the argument is behind a pointer and refers to shared memory. */
static long call(int fd, const struct wire_greeting *file, uint32_t number, const void *argument)
{
	_Alignas(8) char body[WIRE_MAX_BODY];
	struct tee_ioctl_param before[WIRE_MAX_BODY / sizeof(struct tee_ioctl_param)];
	struct tee_ioctl_buf_data buffer;
	struct tee_ioctl_param *params;
	uint32_t count, index;
	int status;

	if (!from_client(&buffer, argument, sizeof(buffer)))
		return -EFAULT;
	if (buffer.buf_len > sizeof(body))
		return -EINVAL;
	if (!from_client(body, (const void *)(uintptr_t)buffer.buf_ptr, buffer.buf_len))
		return -EFAULT;
	if (!find_params(number, body, buffer.buf_len, &params, &count))
		return -EINVAL;
	memcpy(before, params, count * sizeof(*params));
	for (index = 0; index < count; index++)
		if (is_memref(&before[index]))
			registered_copy_in(file->token, before[index].c, before[index].a, before[index].b);
	/* A session gets the current credentials of the process that opens it. */
	status = request(fd, number, file->token, body, buffer.buf_len, number == _IOC_NR(TEE_IOC_OPEN_SESSION));
	for (index = 0; index < count; index++)
		if (is_memref(&before[index]) && before[index].attr != TEE_IOCTL_PARAM_ATTR_TYPE_MEMREF_INPUT)
			registered_copy_out(file->token, before[index].c, before[index].a, before[index].b);
	if (status != 0 || to_client((void *)(uintptr_t)buffer.buf_ptr, body, buffer.buf_len))
		return status;
	/* The caller does not get the session's number, so close the session. */
	if (number == _IOC_NR(TEE_IOC_OPEN_SESSION) && ((struct tee_ioctl_open_session_arg *)body)->ret == 0) {
		uint32_t session = ((struct tee_ioctl_open_session_arg *)body)->session;

		request(fd, _IOC_NR(TEE_IOC_CLOSE_SESSION), file->token, &session, sizeof(session), false);
	}
	return -EFAULT;
}

static long shm_alloc(int fd, const struct wire_greeting *file, void *argument)
{
	struct tee_ioctl_shm_alloc_data data;
	struct wire_greeting greeting;
	int shm;

	if (!from_client(&data, argument, sizeof(data)))
		return -EFAULT;
	shm = file_open(fd, _IOC_NR(TEE_IOC_SHM_ALLOC), file->token, &data, sizeof(data), &greeting, NULL);
	if (shm < 0)
		return shm;
	data.id = greeting.id;
	data.size = greeting.size;
	if (to_client(argument, &data, sizeof(data)))
		return shm;
	close(shm);
	return -EFAULT;
}

static long shm_register(int fd, const struct wire_greeting *file, void *argument)
{
	struct tee_ioctl_shm_register_data data;
	struct wire_greeting greeting;
	struct wire_register body;
	struct buffer buffer;
	int shm, memory = -1, status = 0;

	if (!from_client(&data, argument, sizeof(data)))
		return -EFAULT;
	if (data.flags != 0)
		return -EINVAL;
	/* Not a user-space address on any supported architecture. */
	if (data.addr + data.length < data.addr || (data.addr + data.length) >> 56 != 0)
		return -EFAULT;
	/* Check before doing work that grows with the length. */
	if (data.length == 0 || data.length > WIRE_MAX_MEMORY)
		return -ENOMEM;
	if (!is_writable(data.addr, 1) || !is_writable(data.addr + data.length - 1, 1))
		return -EFAULT;
	buffer = buffer_to_register(data.addr, data.length);
	body = (struct wire_register){ data.addr, data.length, data.flags, data.id, buffer.way,
				       (buffer.end - buffer.begin) / PAGE };
	/* Let the TEE allocate its memory before each page is touched. */
	shm = file_open(fd, _IOC_NR(TEE_IOC_SHM_REGISTER), file->token, &body, sizeof(body), &greeting, &memory);
	if (shm < 0)
		return shm;
	if (!is_writable(data.addr, data.length))
		status = -EFAULT;
	if (status == 0)
		status = registered_add(shm, &greeting, &buffer, memory);
	close(memory);
	data.id = greeting.id;
	if (status == 0 && !to_client(argument, &data, sizeof(data)))
		status = -EFAULT;
	if (status == 0)
		return shm;
	close(shm);
	return status;
}

/* SUPPL_RECV, which waits for a request, and SUPPL_SEND: the argument is behind a pointer. */
static long supplicant(int fd, const struct wire_greeting *file, uint32_t number, const void *argument)
{
	_Alignas(8) char body[WIRE_MAX_BODY];
	struct tee_ioctl_buf_data buffer;
	int status;

	if (!from_client(&buffer, argument, sizeof(buffer)))
		return -EFAULT;
	if (buffer.buf_len > sizeof(body))
		return -EINVAL;
	if (!from_client(body, (const void *)(uintptr_t)buffer.buf_ptr, buffer.buf_len))
		return -EFAULT;
	status = request(fd, number, file->token, body, buffer.buf_len, false);
	if (status == 0 && number == _IOC_NR(TEE_IOC_SUPPL_RECV) &&
	    !to_client((void *)(uintptr_t)buffer.buf_ptr, body, buffer.buf_len))
		status = -EFAULT;
	return status;
}

/* Device files do not send signals. Only enabling them is an error. */
static long signals(const void *argument)
{
	int on;

	if (!from_client(&on, argument, sizeof(on)))
		return -EFAULT;
	return on != 0 ? -ENOTTY : 0;
}

bool is_for_every_file(unsigned long request)
{
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
	case FIONBIO:
	case FIOQSIZE:
	case FIGETBSZ:
	case FIFREEZE:
	case FITHAW:
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
	case FS_IOC_FIEMAP:
		return true;
	default:
		return false;
	}
}

__attribute__((used)) static const char wire_mark[] = WIRE_MARK;

long device_ioctl(int fd, const struct wire_greeting *file, unsigned long request, void *argument)
{
	uint32_t number = _IOC_NR(request);

	if (request == FIOASYNC)
		return signals(argument);
	/* Shared memory files have no ioctls. */
	if (file->kind != WIRE_DEVICE)
		return -ENOTTY;
	switch (request) {
	case TEE_IOC_VERSION:
		return version(fd, file, argument);
	case TEE_IOC_CANCEL:
		return one_way(fd, file, number, argument, sizeof(struct tee_ioctl_cancel_arg));
	case TEE_IOC_CLOSE_SESSION:
		return one_way(fd, file, number, argument, sizeof(struct tee_ioctl_close_session_arg));
	case TEE_IOC_OPEN_SESSION:
	case TEE_IOC_INVOKE:
		return call(fd, file, number, argument);
	case TEE_IOC_SHM_ALLOC:
		return shm_alloc(fd, file, argument);
	case TEE_IOC_SHM_REGISTER:
		return shm_register(fd, file, argument);
	case TEE_IOC_SUPPL_RECV:
	case TEE_IOC_SUPPL_SEND:
		return supplicant(fd, file, number, argument);
	default:
		return -EINVAL;
	}
}
