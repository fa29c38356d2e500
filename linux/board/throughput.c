/*
 * The call rate of a C program with one caller, for linux/board/throughput.mjs. "throughput UUID COMMAND ATTR SECONDS"
 * prints calls per second; each call has one value parameter.
 */
#include <fcntl.h>
#include <linux/tee.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **words)
{
	struct tee_ioctl_open_session_arg session = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC };
	struct tee_ioctl_buf_data opening = { (uintptr_t)&session, sizeof(session) };
	struct {
		struct tee_ioctl_invoke_arg arg;
		struct tee_ioctl_param param;
	} request = { { .num_params = 1 } };
	struct tee_ioctl_buf_data invoking = { (uintptr_t)&request, sizeof(request) };
	int fd = open("/dev/tee0", O_RDWR | O_CLOEXEC);
	double begin, seconds;
	long calls = 0;

	if (count != 5 || fd < 0 || strlen(words[1]) != 32)
		return 1;
	for (int i = 0; i < 16; i++) {
		char octet[3] = { words[1][2 * i], words[1][2 * i + 1] };

		session.uuid[i] = strtoul(octet, NULL, 16);
	}
	if (ioctl(fd, TEE_IOC_OPEN_SESSION, &opening) || session.ret)
		return 1;
	request.arg.session = session.session;
	request.arg.func = atoi(words[2]);
	request.param.attr = atoi(words[3]);
	seconds = atof(words[4]);
	for (begin = now(); now() - begin < seconds; calls++)
		if (ioctl(fd, TEE_IOC_INVOKE, &invoking) || request.arg.ret)
			return 1;
	printf("%.1f\n", calls / (now() - begin));
	return 0;
}
