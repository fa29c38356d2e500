/*
 * A plugin of QEMU's translator that marks which blocks of code run, in memory that another process has mapped as well. It is
 * what coverage of OP-TEE and of trusted applications is measured with, without compiling them for it.
 *
 * The declarations are ours, of the functions that are used: QEMU's header is not needed. VERSION is that of the plugin
 * interface: 1 up to QEMU 8.2, 2 in 9.0 and 9.1, 4 since 9.2.
 */
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
#if VERSION >= 4
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *into, size_t size);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#endif

EXPORT int qemu_plugin_version = VERSION;

/* The layout of the map: src/coverage/coverage-map.ts reads it. */
#define MAGIC 0x3176636du
#define BLOCKS (1u << 17)
#define EDGES (1u << 16)
#define CODE 4
/* The firmware runs at the beginning of QEMU's flash: it polls for calls, and is nobody's to cover. */
#define FIRMWARE_END 0x10000u
#define PAGE 4096

struct block {
	uint64_t address;
	uint32_t instructions;
	/* Of its place in its page and of its code: what is loaded elsewhere, by whole pages, has the same. */
	uint32_t hash;
	/* The first instructions: what code it is, wherever it was loaded. */
	uint32_t code[CODE];
};

struct map {
	_Atomic uint32_t magic;
	uint32_t version;
	/* Blocks that are known. Those beyond are lost, and counted. */
	_Atomic uint32_t count;
	_Atomic uint32_t lost;
	/* How many edges were taken since the reader cleared them: their numbers are in `touched`. */
	_Atomic uint32_t taken;
	uint32_t reserved[1019];
	/* How often each ran, up to 255, since the reader cleared it. */
	uint8_t hits[BLOCKS];
	/* From which block to which, as AFL has it: the one's number shifted, exclusive or the other's. */
	uint8_t edges[EDGES];
	struct block blocks[BLOCKS];
	/* Edges in the order in which they were first taken: a reader need not look at all of them. */
	uint16_t touched[EDGES];
};

_Static_assert(sizeof(uintptr_t) == 8, "a block's number and hash go into one pointer");

#define CPUS 8
#define SLOTS (2 * BLOCKS)

static struct map *map;
/* A block is translated again and again: its number plus one by its hash. */
static uint32_t slots[SLOTS];
static uint32_t previous[CPUS];
static atomic_flag busy = ATOMIC_FLAG_INIT;

static void count(uint8_t *counter)
{
	if (*counter != UINT8_MAX)
		++*counter;
}

static void took(uint32_t edge)
{
	if (map->edges[edge] == 0) {
		uint32_t at = atomic_fetch_add(&map->taken, 1);

		if (at < EDGES)
			map->touched[at] = edge;
	}
	count(&map->edges[edge]);
}

/* The block's number and its hash, in one word: blocks for which there was no room have edges all the same. */
static void executed(unsigned int cpu, void *data)
{
	uint32_t number = (uintptr_t)data >> 32;
	uint32_t hash = (uint32_t)(uintptr_t)data;

	if (number < BLOCKS)
		count(&map->hits[number]);
	if (cpu < CPUS) {
		took((previous[cpu] ^ hash) % EDGES);
		previous[cpu] = hash >> 1;
	}
}

static uint32_t mixed(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * 0x9e3779b1u;
	return hash ^ (hash >> 15);
}

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
	uint32_t word = 0;
#if VERSION >= 4
	qemu_plugin_insn_data(insn, &word, sizeof(word));
#else
	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
#endif
	return word;
}

/* The number of a block, a new one for one that was not there; BLOCKS when there is no room. */
static uint32_t number_of(const struct block *block)
{
	uint32_t slot = block->hash % SLOTS;
	uint32_t number;

	for (; slots[slot] != 0; slot = (slot + 1) % SLOTS)
		if (memcmp(&map->blocks[slots[slot] - 1], block, sizeof(*block)) == 0)
			return slots[slot] - 1;
	number = atomic_load(&map->count);
	if (number == BLOCKS) {
		atomic_fetch_add(&map->lost, 1);
		return BLOCKS;
	}
	map->blocks[number] = *block;
	slots[slot] = number + 1;
	/* Now a reader may look at it. */
	atomic_store(&map->count, number + 1);
	return number;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	struct block block = { .address = qemu_plugin_tb_vaddr(tb), .instructions = qemu_plugin_tb_n_insns(tb) };
	uint32_t hash = mixed(1, block.address % PAGE);
	uint32_t number;

	(void)id;
	if (block.address < FIRMWARE_END)
		return;
	for (size_t i = 0; i < block.instructions; i++) {
		uint32_t word = word_of(qemu_plugin_tb_get_insn(tb, i));

		hash = mixed(hash, word);
		if (i < CODE)
			block.code[i] = word;
	}
	block.hash = hash;
	/* CPUs translate at the same time. */
	while (atomic_flag_test_and_set(&busy))
		;
	number = number_of(&block);
	atomic_flag_clear(&busy);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, (void *)((uintptr_t)number << 32 | block.hash));
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	struct stat status;
	int fd;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "map=", 4) != 0) {
		fprintf(stderr, "coverage: wanted is map=FILE\n");
		return -1;
	}
	fd = open(argv[0] + 4, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0 || (uint64_t)status.st_size < sizeof(*map)) {
		fprintf(stderr, "coverage: %s cannot be opened, or has fewer than %zu bytes\n", argv[0], sizeof(*map));
		return -1;
	}
	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -1;
	map->version = VERSION;
	atomic_store(&map->magic, MAGIC);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
