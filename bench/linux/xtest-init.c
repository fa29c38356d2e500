/*
 * Linux's init for OP-TEE's test suite: it starts tee-supplicant and xtest, with the cases in the kernel's command
 * line, and prints "@begin" and "@exit CODE" on the console before and after.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* The kernel passes no more arguments. */
#define MAX_CASES 32

int main(int count, char **arguments)
{
	char *words[MAX_CASES + 4] = { "xtest", "-l", "0" };
	int status;
	pid_t xtest;

	start_guest();
	bring_up_loopback();
	start_supplicant();
	wait_for_supplicant();
	/* xtest -l 0, followed by the arguments from the command line. */
	for (int index = 1; index < count && index <= MAX_CASES; index++)
		words[index + 2] = arguments[index];
	printf("@begin\n");
	xtest = fork();
	if (xtest == 0) {
		execv("/usr/bin/xtest", words);
		fail("xtest");
	}
	/* Init also reaps orphaned processes. */
	while (wait(&status) != xtest)
		;
	printf("@exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	for (;;)
		pause();
}
