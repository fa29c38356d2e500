#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULE_INIT_COMPRESSED_FILE 4

void fail(const char *what)
{
	printf("@failed %s: %s\n", what, strerror(errno));
	for (;;)
		pause();
}

int load_module(const char *path)
{
	const char *ending = strrchr(path, '.');
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 || syscall(SYS_finit_module, fd, "", strcmp(ending, ".xz") ? 0 : MODULE_INIT_COMPRESSED_FILE);

	close(fd);
	return error;
}

void load_driver(void)
{
	const char *path = access("/optee.ko", R_OK) ? "/optee.ko.xz" : "/optee.ko";

	if (load_module(path))
		fail(path);
}

void start_guest_without_driver(void)
{
	char needed[32];
	int fd;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	setlinebuf(stdout);
	for (int index = 0;; index++) {
		snprintf(needed, sizeof(needed), "/needed-%d.ko.xz", index);
		if (access(needed, R_OK))
			break;
		if (load_module(needed))
			fail(needed);
	}
}

void start_guest(void)
{
	start_guest_without_driver();
	load_driver();
}

void start_supplicant(void)
{
	if (fork() == 0) {
		execl("/usr/sbin/tee-supplicant", "tee-supplicant", NULL);
		fail("tee-supplicant");
	}
}

void bring_up_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		fail("lo");
	close(fd);
}

void wait_for_supplicant(void)
{
	int fd;

	while ((fd = open("/dev/teepriv0", O_RDWR)) >= 0) {
		close(fd);
		usleep(1000);
	}
	if (errno != EBUSY)
		fail("/dev/teepriv0");
}
