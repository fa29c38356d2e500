/* What Linux's init programs begin with: client.c, xtest-init.c, and linux/findings/guest/init.c. */
#ifndef GUEST_H
#define GUEST_H

/* Ends the measurement: the host reads "@failed". */
void fail(const char *what) __attribute__((noreturn));

/* File systems, the console as standard input and output, and the modules that OP-TEE's driver needs. */
void start_guest_without_driver(void);

/* OP-TEE's driver: the kernel's own, or the one that was put into the first file system. */
void load_driver(void);

/* 0, or -1 with errno. */
int load_module(const char *path);

/* All of it. */
void start_guest(void);

/* Returns before the supplicant has come up: until it has, the TEE finds no TA. */
void start_supplicant(void);

/* It has come up when the supplicant's device is taken. */
void wait_for_supplicant(void);

/* The socket API's cases of xtest connect to servers of xtest's own. */
void bring_up_loopback(void);

#endif
