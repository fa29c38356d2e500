/* Connections to the server. Functions return a negative errno on failure. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

/* Whether NORMALWORLD_SOCKET names a server's socket. */
bool server_is_named(void);

/*
 * Open a device: connect to the server's socket, ask, wait for the greeting.
 * Returns the file's descriptor.
 */
int device_file_open(const char *name, bool close_on_exec, struct wire_greeting *greeting);

/*
 * Create a file that belongs to an open device: shared memory.
 * @memory gets the descriptor that is sent with the greeting, if not NULL
 * Returns the file's descriptor.
 */
int file_open(int device, uint32_t operation, const uint8_t *token, const void *body, size_t length,
	      struct wire_greeting *greeting, int *memory);

/*
 * Peek at the greeting of a file.
 * @sent gets the descriptor that was sent with it, if not NULL
 * Returns false if the descriptor is not a file of the server.
 */
bool file_greeting(int fd, struct wire_greeting *greeting, int *sent);

/*
 * Make a request and wait for its answer, which replaces the body.
 * @device the open device for which the request is
 * @fresh use a new connection, from which the server learns the current credentials
 * Returns the status.
 */
int request(int device, uint32_t operation, const uint8_t *token, void *body, size_t length, bool fresh);

/* Duplicate a descriptor to a high number, with close-on-exec. */
int dup_high(int fd);

#endif
