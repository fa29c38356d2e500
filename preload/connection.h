/* Connections to the server. Functions return a negative errno where they fail. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

/* There is a server to talk to: NORMALWORLD_SOCKET names its socket. */
bool server_is_named(void);

/*
 * Open a device: connect to the server's socket, ask, wait for the greeting.
 * Returns the file's descriptor.
 */
int device_file_open(const char *name, bool close_on_exec, struct wire_greeting *greeting);

/*
 * Make a file of an open device's: shared memory.
 * @memory gets the descriptor that came with the greeting, if not NULL
 * Returns the file's descriptor.
 */
int file_open(int device, uint32_t operation, const uint8_t *token, const void *body, size_t length,
	      struct wire_greeting *greeting, int *memory);

/*
 * Read the greeting of a file without taking it.
 * @sent gets the descriptor that came with it, if not NULL
 * Returns false when the descriptor is no file of the server's.
 */
bool file_greeting(int fd, struct wire_greeting *greeting, int *sent);

/*
 * Make a request and wait for its answer; the body is replaced by the answer's.
 * @device the open device that it is for
 * @fresh on a new connection: the server learns from it who is asking at this moment
 * Returns the status.
 */
int request(int device, uint32_t operation, const uint8_t *token, void *body, size_t length, bool fresh);

/* Another descriptor of the same file, away from the numbers that programs count on, and closed on exec. */
int dup_high(int fd);

#endif
