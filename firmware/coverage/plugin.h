/*
 * The used part of QEMU's plugin interface, and common code of the plugins: a table of code blocks with numbers, in
 * memory that a reader in another process has mapped. The functions are declared here, so QEMU's header is not needed.
 * VERSION is the version of the interface: 1 up to QEMU 8.2, 2 in 9.0 and 9.1, 4 since 9.2.
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*callback)(unsigned int cpu, void *data),
					  int registers, void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
/* rw: 1 for reads, 2 for writes. */
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*callback)(unsigned int cpu, uint32_t info, uint64_t address, void *data),
				      int registers, int accesses, void *data);
#if VERSION >= 4
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *into, size_t size);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#endif

static inline uint32_t word_of(const struct qemu_plugin_insn *insn)
{
	uint32_t word = 0;
#if VERSION >= 4
	qemu_plugin_insn_data(insn, &word, sizeof(word));
#else
	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
#endif
	return word;
}

/*
 * Maps the file named by the option map=FILE, which must have at least @size bytes. Prints the reason and returns NULL
 * on failure.
 */
static inline void *shared_map(int argc, char **argv, size_t size)
{
	struct stat status;
	void *map;
	int fd;

	if (argc != 1 || strncmp(argv[0], "map=", 4) != 0) {
		fprintf(stderr, "plugin: wanted is map=FILE\n");
		return NULL;
	}
	fd = open(argv[0] + 4, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0 || (uint64_t)status.st_size < size) {
		fprintf(stderr, "plugin: %s cannot be opened, or has fewer than %zu bytes\n", argv[0], size);
		return NULL;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

#define BLOCKS (1u << 17)
#define CODE 4

struct block {
	uint64_t address;
	uint32_t instructions;
	uint32_t hash;
	/* The first instructions, which identify the code independently of its address. */
	uint32_t code[CODE];
};

#define SLOTS (2 * BLOCKS)

/* Number plus one by hash, because a block is translated repeatedly. */
static uint32_t slots[SLOTS];
static atomic_flag busy = ATOMIC_FLAG_INIT;

static inline uint32_t mixed(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * 0x9e3779b1u;
	return hash ^ (hash >> 15);
}

/* A block with the hash of its code; @hash is the initial value. */
static inline struct block block_of(const struct qemu_plugin_tb *tb, uint32_t hash)
{
	struct block block = { .address = qemu_plugin_tb_vaddr(tb), .instructions = qemu_plugin_tb_n_insns(tb) };

	for (size_t i = 0; i < block.instructions; i++) {
		uint32_t word = word_of(qemu_plugin_tb_get_insn(tb, i));

		hash = mixed(hash, word);
		if (i < CODE)
			block.code[i] = word;
	}
	block.hash = hash;
	return block;
}

/*
 * Returns the block's number, a new one for an unknown block. Returns BLOCKS, and counts a lost block, if the table is
 * full.
 */
static inline uint32_t number_of(const struct block *block, struct block *table, _Atomic uint32_t *count,
				 _Atomic uint32_t *lost)
{
	uint32_t number;
	uint32_t slot;

	/* CPUs translate concurrently. */
	while (atomic_flag_test_and_set(&busy))
		;
	for (slot = block->hash % SLOTS; slots[slot] != 0; slot = (slot + 1) % SLOTS) {
		number = slots[slot] - 1;
		if (memcmp(&table[number], block, sizeof(*block)) == 0)
			goto out;
	}
	number = atomic_load(count);
	if (number == BLOCKS) {
		atomic_fetch_add(lost, 1);
		goto out;
	}
	table[number] = *block;
	slots[slot] = number + 1;
	/* Publish the block to readers. */
	atomic_store(count, number + 1);
out:
	atomic_flag_clear(&busy);
	return number;
}

#endif
