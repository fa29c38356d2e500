/* Common code of Linux's init programs: client.c, xtest-init.c, and linux/findings/guest/init.c. */
#ifndef GUEST_H
#define GUEST_H

/* Ends the guest; the host reads "@failed". */
void fail(const char *what) __attribute__((noreturn));

/*
 * Mounts file systems, opens the console as standard input and output, and loads the modules that OP-TEE's driver
 * needs.
 */
void start_guest_without_driver(void);

/* Loads OP-TEE's driver: the kernel's own, or the one in the initramfs. */
void load_driver(void);

/* Returns 0, or -1 with errno. */
int load_module(const char *path);

/* start_guest_without_driver() and load_driver(). */
void start_guest(void);

/* Does not wait until the supplicant is ready; before that, the TEE finds no TA. */
void start_supplicant(void);

/* Waits until the supplicant has opened its device. */
void wait_for_supplicant(void);

/* For the socket API cases of xtest, which connect to local servers. */
void bring_up_loopback(void);

#endif
