/*
 * Linux's init for a board in QEMU: it starts a supplicant and runs a program of the initramfs. Arguments on the
 * kernel's command line: "ours" or "tee-supplicant"; then "node FILE" or "xtest CASES". It prints "@begin" and "@exit
 * CODE" on the console before and after the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* The kernel passes no more arguments. */
#define MAX_WORDS 32

static void start_our_supplicant(void)
{
	if (fork() == 0) {
		execl("/bin/node", "node", "/app/dist/cli/main.js", "supplicant", "--ta", "/lib/optee_armtz", "--storage",
		      "/var/lib/tee", "--plugin", "/app/plugin.mjs", NULL);
		fail("node");
	}
}

int main(int count, char **arguments)
{
	char *words[MAX_WORDS + 4] = { 0 };
	int status, used = 0;
	pid_t program;

	if (count < 3)
		fail("words");
	start_guest();
	mkdir("/sys", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	bring_up_loopback();
	setenv("HOME", "/tmp", 1);
	setenv("PATH", "/bin:/usr/bin:/usr/sbin", 1);
	if (strcmp(arguments[1], "ours") == 0)
		start_our_supplicant();
	else
		start_supplicant();
	wait_for_supplicant();
	if (strcmp(arguments[2], "xtest") == 0) {
		words[used++] = "xtest";
		words[used++] = "-l";
		words[used++] = "0";
	} else {
		words[used++] = "node";
	}
	for (int index = 3; index < count && index <= MAX_WORDS; index++)
		words[used++] = arguments[index];
	printf("@begin\n");
	program = fork();
	if (program == 0) {
		execv(strcmp(words[0], "xtest") == 0 ? "/usr/bin/xtest" : "/bin/node", words);
		fail(words[0]);
	}
	/* Init also reaps orphaned processes. */
	while (wait(&status) != program)
		;
	printf("@exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	for (;;)
		pause();
}
