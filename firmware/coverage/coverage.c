/*
 * A QEMU TCG plugin that records which blocks of code are executed, in memory shared with another process. It measures
 * coverage of OP-TEE and of trusted applications without instrumenting them.
 */
#include "plugin.h"

EXPORT int qemu_plugin_version = VERSION;

/* Layout of the map, which src/coverage/coverage-map.ts reads. */
#define MAGIC 0x3176636du
#define EDGES (1u << 16)
/* The firmware runs at the beginning of QEMU's flash. It polls for calls and is not measured. */
#define FIRMWARE_END 0x10000u
#define PAGE 4096

struct map {
	_Atomic uint32_t magic;
	uint32_t version;
	/* Number of known blocks. Further blocks are lost, and counted. */
	_Atomic uint32_t count;
	_Atomic uint32_t lost;
	/* Number of edges executed since the reader began a round. */
	_Atomic uint32_t taken;
	/* Number of the round: the reader begins one with a new number, and with `taken` = 0. */
	_Atomic uint32_t round;
	uint32_t reserved[1018];
	/* Executions of each block, up to 255, since the reader cleared them. */
	uint8_t hits[BLOCKS];
	struct block blocks[BLOCKS];
	/*
	 * The edges in the order of their first execution in this round, and the number of their executions, up to 255.
	 * They are contiguous, because the reader runs on another processor: each cache line that both access costs more
	 * than the counting.
	 */
	uint16_t edges[EDGES];
	uint8_t counts[EDGES];
};

_Static_assert(sizeof(uintptr_t) == 8, "a block's number and hash go into one pointer");

#define CPUS 8

static struct map *map;
static uint32_t previous[CPUS];
/*
 * By edge (as in AFL: the shifted number of one block, exclusive or the other's): the round in which it was last
 * executed, in the upper half, and its index in `edges` in that round.
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
	/* CPUs that execute an edge for the first time concurrently use one entry each. */
	if (at >= EDGES)
		return;
	map->edges[at] = edge;
	map->counts[at] = 1;
	places[edge] = (uint64_t)round << 32 | at;
}

/* @data contains the block's number and hash, so that blocks that did not fit into the table still have edges. */
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
	/* The hash is of the block's offset in its page and of its code, so it does not depend on the load address. */
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
