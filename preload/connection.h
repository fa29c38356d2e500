/* Connections to the server. Functions return a negative errno where they fail. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

/* There is a server to talk to: NORMALWORLD_SOCKET names its socket. */
bool server_is_named(void);

/*
 * Make a file of the server's: connect, ask, wait for the greeting.
 * @memory gets the descriptor that came with the greeting, if not NULL
 * Returns the file's descriptor.
 */
int file_open(uint32_t operation, const uint8_t *token, const void *body, size_t length, bool close_on_exec,
	      struct wire_greeting *greeting, int *memory);

/*
 * Read the greeting of a file without taking it.
 * Returns false when the descriptor is no file of the server's.
 */
bool file_greeting(int fd, struct wire_greeting *greeting, int *memory);

/*
 * Make a request and wait for its answer; the body is replaced by the answer's.
 * @fresh on a new connection: the server learns from it who is asking at this moment
 * Returns the status.
 */
int request(uint32_t operation, const uint8_t *token, void *body, size_t length, bool fresh);

#endif
