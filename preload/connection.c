#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* Number of idle connections that are kept for later requests. */
#define KEPT 16
/* Descriptors of this library begin here, away from the low numbers that programs rely on. */
#define HIGH_FD 400

struct channel {
	int fd;
	/* A program that closes all descriptors closes ours too; the number may then belong to another file. */
	dev_t device;
	ino_t inode;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct channel kept[KEPT];
static int kept_count;

static bool is_ours(const struct channel *channel)
{
	struct stat now;

	return fstat(channel->fd, &now) == 0 && now.st_dev == channel->device && now.st_ino == channel->inode;
}

static void close_quietly(int fd)
{
	int before = errno;

	close(fd);
	errno = before;
}

int dup_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

	/* With a low limit of open files there are no high numbers. */
	if (high < 0 && errno == EINVAL)
		high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return high < 0 ? -errno : high;
}

static void close_channel(const struct channel *channel)
{
	if (is_ours(channel))
		close_quietly(channel->fd);
}

/* A child must not share its parent's connections, because both would receive each other's answers. */
static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void)
{
	while (kept_count > 0)
		close_channel(&kept[--kept_count]);
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static const char *server_path(void)
{
	return getenv("NORMALWORLD_SOCKET");
}

bool server_is_named(void)
{
	return server_path() != NULL;
}

static int connect_to_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = server_path();
	int fd;

	if (path == NULL || strlen(path) >= sizeof(address.sun_path))
		return -ENODEV;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		if (errno == EINTR)
			continue;
		close_quietly(fd);
		return errno == EACCES ? -EACCES : -ENODEV;
	}
	return fd;
}

static int send_request(int fd, uint32_t operation, const uint8_t *token, const void *body, size_t length)
{
	struct wire_request head = { .magic = WIRE_MAGIC, .operation = operation, .length = length };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)body, length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t sent;

	if (token != NULL)
		memcpy(head.token, token, WIRE_TOKEN_SIZE);
	/* A request is small and the socket buffer empty, so it is sent completely or not at all. */
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)(sizeof(head) + length) ? 0 : -EPIPE;
}

static int receive(int fd, void *into, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = recv(fd, (char *)into + done, length - done, MSG_WAITALL);

		if (got == 0 || (got < 0 && errno != EINTR))
			return -EPIPE;
		if (got > 0)
			done += got;
	}
	return 0;
}

static ssize_t peek(int fd, struct wire_greeting *greeting, int *memory, int flags)
{
	struct iovec part = { greeting, sizeof(*greeting) };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *rights;
	ssize_t got;

	if (memory != NULL) {
		*memory = -1;
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	do
		got = recvmsg(fd, &message, MSG_PEEK | MSG_CMSG_CLOEXEC | flags);
	while (got < 0 && errno == EINTR);
	if (got < 0 || memory == NULL)
		return got;
	rights = CMSG_FIRSTHDR(&message);
	if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS)
		memcpy(memory, CMSG_DATA(rights), sizeof(int));
	return got;
}

bool file_greeting(int fd, struct wire_greeting *greeting, int *memory)
{
	int before = errno;
	ssize_t got = peek(fd, greeting, memory, MSG_DONTWAIT);

	errno = before;
	if (got == (ssize_t)sizeof(*greeting) && greeting->magic == WIRE_MAGIC && greeting->status == 0)
		return true;
	if (got >= 0 && memory != NULL && *memory >= 0)
		close_quietly(*memory);
	return false;
}

/* Send a descriptor to the door, then one byte on the device's connection. */
static int hand_in(int device, int door, int fd)
{
	char byte = 0;
	struct iovec part = { &byte, 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	do
		sent = sendmsg(door, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != 1)
		return errno == ETOOMANYREFS ? -ENOMEM : -ENODEV;
	do
		sent = send(device, &byte, 1, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == 1 ? 0 : -ENODEV;
}

/*
 * Open a further connection for the owner of the open device. It needs neither the path of the server's socket nor the
 * right to connect to it, which the process may have lost; and it has the current credentials.
 */
static int connect_through(int device)
{
	struct wire_greeting greeting;
	int door = -1, status, pair[2];

	if (!file_greeting(device, &greeting, &door))
		return -ENODEV;
	if (door < 0)
		return -EMFILE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		status = -errno;
		close_quietly(door);
		return status;
	}
	status = hand_in(device, door, pair[1]);
	close_quietly(pair[1]);
	close_quietly(door);
	if (status == 0)
		return pair[0];
	close_quietly(pair[0]);
	return status;
}

/* Request a file on a new connection, which then represents the file. */
static int become_file(int fd, uint32_t operation, const uint8_t *token, const void *body, size_t length,
		       struct wire_greeting *greeting, int *sent)
{
	int status;

	if (fd < 0)
		return fd;
	status = send_request(fd, operation, token, body, length);
	/* The greeting arrives in one piece. */
	if (status == 0 && (peek(fd, greeting, sent, 0) != sizeof(*greeting) || greeting->magic != WIRE_MAGIC))
		status = -ENODEV;
	if (status == 0)
		status = greeting->status;
	if (status == 0)
		return fd;
	close_quietly(fd);
	return status == -EPIPE ? -ENODEV : status;
}

int device_file_open(const char *name, bool close_on_exec, struct wire_greeting *greeting)
{
	int fd = become_file(connect_to_server(), WIRE_OPEN, NULL, name, strlen(name), greeting, NULL);

	if (fd >= 0 && !close_on_exec)
		fcntl(fd, F_SETFD, 0);
	return fd;
}

int file_open(int device, uint32_t operation, const uint8_t *token, const void *body, size_t length,
	      struct wire_greeting *greeting, int *memory)
{
	int fd = become_file(connect_through(device), operation, token, body, length, greeting, memory);

	/* Without a free descriptor number, the memory's descriptor was not received. */
	if (fd >= 0 && memory != NULL && *memory < 0) {
		close_quietly(fd);
		return -EMFILE;
	}
	return fd;
}

static int new_channel(int device, struct channel *channel)
{
	struct stat made;
	int fd = connect_through(device);
	int high;

	if (fd < 0)
		return fd;
	high = dup_high(fd);
	if (high >= 0) {
		close_quietly(fd);
		fd = high;
	}
	if (fstat(fd, &made) != 0) {
		close_quietly(fd);
		return -EBADF;
	}
	*channel = (struct channel){ fd, made.st_dev, made.st_ino };
	return 0;
}

static bool kept_channel(struct channel *channel)
{
	bool found = false;

	pthread_mutex_lock(&mutex);
	while (!found && kept_count > 0) {
		*channel = kept[--kept_count];
		found = is_ours(channel);
	}
	pthread_mutex_unlock(&mutex);
	return found;
}

static void keep_channel(const struct channel *channel)
{
	bool full;

	pthread_mutex_lock(&mutex);
	full = kept_count == KEPT;
	if (!full)
		kept[kept_count++] = *channel;
	pthread_mutex_unlock(&mutex);
	if (full)
		close_channel(channel);
}

int request(int device, uint32_t operation, const uint8_t *token, void *body, size_t length, bool fresh)
{
	struct channel channel;
	struct wire_reply reply;
	int status = 0;

	if (fresh || !kept_channel(&channel))
		status = new_channel(device, &channel);
	if (status < 0)
		return status;
	status = send_request(channel.fd, operation, token, body, length);
	if (status == 0)
		status = receive(channel.fd, &reply, sizeof(reply));
	if (status == 0 && (reply.magic != WIRE_MAGIC || reply.length > length))
		status = -EPIPE;
	if (status == 0)
		status = receive(channel.fd, body, reply.length);
	if (status < 0) {
		close_channel(&channel);
		/* The server has ended, and the device with it. */
		return -ENODEV;
	}
	/*
	 * A new connection has the credentials of its creation. The process may change them, so the connection is used only
	 * once. One that the server had no place for is not reused either.
	 */
	if (fresh || reply.status == -ENFILE || reply.status == -EMFILE)
		close_channel(&channel);
	else
		keep_channel(&channel);
	return reply.status;
}
