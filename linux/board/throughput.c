/*
 * The call rate of a C program with one caller, for linux/board/throughput.mjs. "throughput UUID COMMAND ATTR SECONDS
 * [thread]" prints calls per second; each call has one value parameter. With "thread", a second thread makes the calls,
 * and both busy-wait for each other: what a program reaches that does not block in the call itself.
 */
#include <fcntl.h>
#include <linux/tee.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

struct invocation {
	int fd;
	struct tee_ioctl_buf_data invoking;
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param param;
	} request;
	/* Numbers of calls. */
	atomic_long asked, answered;
};

static int failed(struct invocation *it)
{
	return ioctl(it->fd, TEE_IOC_INVOKE, &it->invoking) || it->request.arg.ret;
}

static void *make_calls(void *data)
{
	struct invocation *it = data;

	for (long call = 1;; call++) {
		while (atomic_load(&it->asked) != call)
			;
		if (failed(it))
			exit(1);
		atomic_store(&it->answered, call);
	}
	return NULL;
}

int main(int count, char **words)
{
	struct tee_ioctl_open_session_arg session = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC };
	struct tee_ioctl_buf_data opening = { (uintptr_t)&session, sizeof(session) };
	static struct invocation it;
	pthread_t thread;
	double begin, seconds;
	long calls = 0;

	it.fd = open("/dev/tee0", O_RDWR | O_CLOEXEC);
	it.invoking.buf_ptr = (uintptr_t)&it.request;
	it.invoking.buf_len = sizeof(it.request);
	if (count < 5 || it.fd < 0 || strlen(words[1]) != 32)
		return 1;
	for (int i = 0; i < 16; i++) {
		char octet[3] = { words[1][2 * i], words[1][2 * i + 1] };

		session.uuid[i] = strtoul(octet, NULL, 16);
	}
	if (ioctl(it.fd, TEE_IOC_OPEN_SESSION, &opening) || session.ret)
		return 1;
	it.request.arg.num_params = 1;
	it.request.arg.session = session.session;
	it.request.arg.func = atoi(words[2]);
	it.request.param.attr = atoi(words[3]);
	seconds = atof(words[4]);
	if (count > 5 && pthread_create(&thread, NULL, make_calls, &it))
		return 1;
	for (begin = now(); now() - begin < seconds; calls++) {
		if (count == 5) {
			if (failed(&it))
				return 1;
			continue;
		}
		atomic_store(&it.asked, calls + 1);
		while (atomic_load(&it.answered) != calls + 1)
			;
	}
	printf("%.1f\n", calls / (now() - begin));
	fflush(stdout);
	/* Without waiting for the thread. */
	_exit(0);
}
