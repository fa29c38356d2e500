#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULE_INIT_COMPRESSED_FILE 4

void fail(const char *what)
{
	printf("@failed %s: %s\n", what, strerror(errno));
	for (;;)
		pause();
}

static void load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", MODULE_INIT_COMPRESSED_FILE))
		fail(path);
	close(fd);
}

void start_guest(void)
{
	int fd;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	setlinebuf(stdout);
	load("/tee.ko.xz");
	load("/optee.ko.xz");
}

void start_supplicant(void)
{
	if (fork() == 0) {
		execl("/usr/sbin/tee-supplicant", "tee-supplicant", NULL);
		fail("tee-supplicant");
	}
}
