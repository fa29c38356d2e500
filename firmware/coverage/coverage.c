/*
 * A plugin of QEMU's translator that marks which blocks of code run, in memory that another process has mapped as well. It is
 * what coverage of OP-TEE and of trusted applications is measured with, without compiling them for it.
 */
#include "plugin.h"

EXPORT int qemu_plugin_version = VERSION;

/* The layout of the map: src/coverage/coverage-map.ts reads it. */
#define MAGIC 0x3176636du
#define EDGES (1u << 16)
/* The firmware runs at the beginning of QEMU's flash: it polls for calls, and is nobody's to cover. */
#define FIRMWARE_END 0x10000u
#define PAGE 4096

struct map {
	_Atomic uint32_t magic;
	uint32_t version;
	/* Blocks that are known. Those beyond are lost, and counted. */
	_Atomic uint32_t count;
	_Atomic uint32_t lost;
	/* How many edges were taken since the reader began a round. */
	_Atomic uint32_t taken;
	/* Number of the round: the reader begins one by a new number, and `taken` at 0. */
	_Atomic uint32_t round;
	uint32_t reserved[1018];
	/* How often each ran, up to 255, since the reader cleared it. */
	uint8_t hits[BLOCKS];
	struct block blocks[BLOCKS];
	/*
	 * The edges in the order in which they were first taken in this round, and how often each, up to 255. They lie close
	 * together: the reader runs on another processor, and each cache line that both touch costs more than the counting.
	 */
	uint16_t edges[EDGES];
	uint8_t counts[EDGES];
};

_Static_assert(sizeof(uintptr_t) == 8, "a block's number and hash go into one pointer");

#define CPUS 8

static struct map *map;
static uint32_t previous[CPUS];
/*
 * By the edge (from which block to which, as AFL has it: the one's number shifted, exclusive or the other's): the round in which
 * it was last taken, in the upper half, and its place in `edges` then.
 */
static uint64_t places[EDGES];

static void count(uint8_t *counter)
{
	if (*counter != UINT8_MAX)
		++*counter;
}

static void took(uint32_t edge)
{
	uint32_t round = atomic_load_explicit(&map->round, memory_order_relaxed);
	uint64_t place = places[edge];
	uint32_t at;

	if (place >> 32 == round) {
		count(&map->counts[(uint32_t)place]);
		return;
	}
	at = atomic_fetch_add_explicit(&map->taken, 1, memory_order_relaxed);
	/* CPUs that take an edge for the first time at once have a place for it each. */
	if (at >= EDGES)
		return;
	map->edges[at] = edge;
	map->counts[at] = 1;
	places[edge] = (uint64_t)round << 32 | at;
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

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	/* Of its place in its page and of its code: what is loaded elsewhere, by whole pages, has the same hash. */
	struct block block = block_of(tb, mixed(1, qemu_plugin_tb_vaddr(tb) % PAGE));
	uint32_t number;

	(void)id;
	if (block.address < FIRMWARE_END)
		return;
	number = number_of(&block, map->blocks, &map->count, &map->lost);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, (void *)((uintptr_t)number << 32 | block.hash));
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	map = shared_map(argc, argv, sizeof(*map));
	if (map == NULL)
		return -1;
	map->version = VERSION;
	/* No edge has been taken in round 1. */
	atomic_store(&map->round, 1);
	atomic_store(&map->magic, MAGIC);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
