/* The protocol between clients and the server of `normalworld serve`: docs/serve.md. Little-endian, no padding. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

#define WIRE_MAGIC 0x3254574e /* "NWT2" */
/* A string in the library, so that a library with another version is detected before it is loaded. */
#define WIRE_MARK "normalworld wire NWT2"

/* Operations: the numbers of the ioctls (uapi linux/tee.h), and this one. */
#define WIRE_OPEN 0x100

#define WIRE_TOKEN_SIZE 16

/* Largest argument: TEE_MAX_ARG_SIZE in Linux. */
#define WIRE_MAX_BODY 4096

/* Largest shared memory, in bytes. For larger sizes the server returns ENOMEM, whatever the address. */
#define WIRE_MAX_MEMORY 0x40000000ull

struct wire_request {
	uint32_t magic;
	uint32_t operation;
	uint32_t length; /* of the body that follows */
	uint32_t reserved;
	uint8_t token[WIRE_TOKEN_SIZE]; /* the device file that it is for */
};

struct wire_reply {
	uint32_t magic;
	int32_t status; /* 0, or a negative errno */
	uint32_t length; /* of the body that follows */
	uint32_t reserved;
};

/*
 * The only message that the server sends on a connection that represents a file. Clients peek at it and never remove
 * it, so that every owner of the file (by dup, fork, exec or descriptor passing) can read its properties. With shared
 * memory, the descriptor of the memory is sent; with a device, that of its door: to open a further connection, a client
 * sends one end of a socket pair there (SCM_RIGHTS, with one byte), and then a byte on the device's own connection.
 */
struct wire_greeting {
	uint32_t magic;
	int32_t status;
	uint32_t kind;
	int32_t id; /* of the shared memory, as the ioctls name it */
	uint8_t token[WIRE_TOKEN_SIZE];
	uint64_t offset; /* of the shared memory in the memory's file, bytes */
	uint64_t size; /* of the shared memory, bytes */
	uint64_t reserved[2];
};

enum wire_kind { WIRE_DEVICE = 1, WIRE_SHARED_MEMORY = 2, WIRE_REGISTERED_MEMORY = 3 };

/* How a client shares its buffer, as reported at registration. */
enum wire_way {
	WIRE_REMAPPED = 1, /* its whole pages are the TEE's; what lies before and behind them is copied */
	WIRE_COPIED_NO_PAGES = 2, /* copied: there is no whole page in it */
	WIRE_COPIED_WISH = 3, /* copied: NORMALWORLD_SHM says so */
	WIRE_COPIED_THREADS = 4, /* copied: other threads may write meanwhile */
	WIRE_COPIED_MEMORY = 5, /* copied: not private memory, or locked, or remapped already */
};

/* The body of SHM_REGISTER: its argument (struct tee_ioctl_shm_register_data), and the way of sharing. */
struct wire_register {
	uint64_t address;
	uint64_t length;
	uint32_t flags;
	int32_t id;
	uint32_t way;
	uint32_t remapped_pages;
};

_Static_assert(sizeof(struct wire_request) == 32, "request");
_Static_assert(sizeof(struct wire_reply) == 16, "reply");
_Static_assert(sizeof(struct wire_greeting) == 64, "greeting");
_Static_assert(sizeof(struct wire_register) == 32, "register");

#endif
