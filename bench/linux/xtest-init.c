/*
 * Linux's init when it runs OP-TEE's test suite: starts tee-supplicant and xtest, with the cases that the kernel's command
 * line names, and prints "@begin" and "@exit CODE" on the console before and after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* The kernel gives no more. */
#define MAX_CASES 32

/* The cases of the socket API connect to servers of xtest's own. */
static void bring_up_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		fail("lo");
	close(fd);
}

/* It has come up when the supplicant's device is taken. */
static void wait_for_supplicant(void)
{
	int fd;

	while ((fd = open("/dev/teepriv0", O_RDWR)) >= 0) {
		close(fd);
		usleep(1000);
	}
	if (errno != EBUSY)
		fail("/dev/teepriv0");
}

int main(int count, char **arguments)
{
	char *words[MAX_CASES + 4] = { "xtest", "-l", "0" };
	int status;
	pid_t xtest;

	start_guest();
	bring_up_loopback();
	start_supplicant();
	wait_for_supplicant();
	/* xtest -l 0, then what the command line has. */
	for (int index = 1; index < count && index <= MAX_CASES; index++)
		words[index + 2] = arguments[index];
	printf("@begin\n");
	xtest = fork();
	if (xtest == 0) {
		execv("/usr/bin/xtest", words);
		fail("xtest");
	}
	/* Init is everybody's parent in the end. */
	while (wait(&status) != xtest)
		;
	printf("@exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	for (;;)
		pause();
}
