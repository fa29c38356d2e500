/* What both of Linux's init programs begin with: bench/linux/client.c and bench/linux/xtest-init.c. */
#ifndef GUEST_H
#define GUEST_H

/* Ends the measurement: the host reads "@failed". */
void fail(const char *what) __attribute__((noreturn));

/* File systems, the console as standard input and output, and the TEE driver. */
void start_guest(void);

/* Returns before the supplicant has come up: until it has, the TEE finds no TA. */
void start_supplicant(void);

#endif
