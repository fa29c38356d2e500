/*
 * What a client and the server of `normalworld serve` say to each other: docs/serve.md. Little-endian, no padding.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

#define WIRE_MAGIC 0x3254574e /* "NWT2" */
/* Stands in the library, for who is to load it: a library of another version is told before a client fails by it. */
#define WIRE_MARK "normalworld wire NWT2"

/* Operations are the numbers of the ioctls (uapi linux/tee.h), and this one. */
#define WIRE_OPEN 0x100

#define WIRE_TOKEN_SIZE 16

/* The longest argument, TEE_MAX_ARG_SIZE of Linux. */
#define WIRE_MAX_BODY 4096

/* The largest shared memory, in bytes: beyond it the server says ENOMEM, whatever lies there. */
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
 * The only thing the server sends on a connection that stands for a file. It is peeked at and never taken out, so that
 * whoever has the file, by dup, fork, exec or from another process, can ask it what it is. With a file of shared
 * memory comes the descriptor of the memory; with a device that of its door: who wants a further connection sends one of a
 * pair of sockets there (SCM_RIGHTS, with one byte), and then a byte on the device's own connection.
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

/* How a client shares a buffer of its own, which it says when it registers it. */
enum wire_way {
	WIRE_REMAPPED = 1, /* its whole pages are the TEE's; what lies before and behind them is copied */
	WIRE_COPIED_NO_PAGES = 2, /* copied: there is no whole page in it */
	WIRE_COPIED_WISH = 3, /* copied: NORMALWORLD_SHM says so */
	WIRE_COPIED_THREADS = 4, /* copied: other threads may write meanwhile */
	WIRE_COPIED_MEMORY = 5, /* copied: not private memory, or locked, or remapped already */
};

/* The body of SHM_REGISTER: its argument (struct tee_ioctl_shm_register_data), and the way. */
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
