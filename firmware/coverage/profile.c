/*
 * A QEMU TCG plugin that counts the instructions executed by OP-TEE and trusted applications, by call stack, and
 * measures the stack depth of applications. Both are exact as far as calls can be followed: calls are recognised by the
 * branch at the end of a block, returns by the address that execution continues at.
 */
#include "plugin.h"

EXPORT int qemu_plugin_version = VERSION;

/* Layout of the map, which src/coverage/profile-map.ts reads. */
#define MAGIC 0x3166706eu
#define NODES (1u << 19)
#define NODE_SLOTS (2 * NODES)

/* A block in the context of its calling blocks. */
struct node {
	/* Node of the calling block; 0 for none. */
	uint32_t parent;
	uint32_t block;
	/* Number of instructions executed here since the start. */
	_Atomic uint64_t executed;
};

struct map {
	_Atomic uint32_t magic;
	uint32_t version;
	/* Number of known blocks and nodes. Further ones are lost, and counted. */
	_Atomic uint32_t count;
	_Atomic uint32_t lost;
	/* Node 0 is unused. */
	_Atomic uint32_t nodes;
	_Atomic uint32_t lost_nodes;
	/*
	 * The GiB of virtual addresses that contains applications. OP-TEE chooses an otherwise unused one at each boot. 0: not
	 * known yet.
	 */
	_Atomic uint32_t applications;
	uint32_t reserved[1017];
	struct block blocks[BLOCKS];
	/* Lowest and highest address to which an application's block has stored relative to the stack pointer; 0 for none. */
	_Atomic uint64_t stack_low[BLOCKS];
	_Atomic uint64_t stack_high[BLOCKS];
	struct node tree[NODES];
};

/* The kind of branch at the end of a block. */
enum end { GOES_ON, CALLS, RETURNS, LEAVES };

#define DEPTH 128
/* Largest number of OP-TEE threads that are in the normal world. */
#define PARKED 64

struct frame {
	/* The return address. */
	uint64_t back;
	uint32_t node;
	bool by_application;
};

struct stack {
	uint32_t depth;
	/* The address at which the thread continues in secure world; 0 for an unused entry. */
	uint64_t back;
	uint64_t when;
	struct frame frames[DEPTH];
};

#define CPUS 8

static struct cpu {
	struct stack stack;
	enum end end;
	uint64_t next;
	uint32_t node;
	bool in_application;
} cpus[CPUS];

static struct map *map;
static struct stack parked[PARKED];
static uint64_t times;
static uint32_t node_slots[NODE_SLOTS];
static uint8_t ends[BLOCKS];
static atomic_flag growing = ATOMIC_FLAG_INIT;
static atomic_flag parking = ATOMIC_FLAG_INIT;

static void lock(atomic_flag *flag)
{
	while (atomic_flag_test_and_set(flag))
		;
}

static bool is_application(uint64_t address)
{
	uint32_t gib = atomic_load_explicit(&map->applications, memory_order_relaxed);

	return gib != 0 && address >> 30 == gib;
}

/* Whether code runs in QEMU's flash. */
static bool is_firmware(uint64_t address)
{
	return address < 0x08000000;
}

/* Applications, including their loader, call OP-TEE with SVC; OP-TEE itself never does. */
static bool is_svc(uint32_t word)
{
	return (word & 0xffe0001f) == 0xd4000001;
}

static enum end end_of(uint32_t word)
{
	/* BL; BLR, BLRAA and similar; SVC */
	if ((word & 0xfc000000) == 0x94000000 || (word & 0xfefff000) == 0xd63f0000 || is_svc(word))
		return CALLS;
	/* RET, RETAA, RETAB; ERET and similar */
	if ((word & 0xfffff000) == 0xd65f0000 || (word & 0xfffff000) == 0xd69f0000)
		return RETURNS;
	/* SMC */
	if ((word & 0xffe0001f) == 0xd4000003)
		return LEAVES;
	return GOES_ON;
}

static uint32_t node_of(uint32_t parent, uint32_t block)
{
	uint32_t slot = mixed(mixed(2, parent), block) % NODE_SLOTS;
	uint32_t number;

	for (;;) {
		for (; (number = __atomic_load_n(&node_slots[slot], __ATOMIC_ACQUIRE)) != 0; slot = (slot + 1) % NODE_SLOTS)
			if (map->tree[number].parent == parent && map->tree[number].block == block)
				return number;
		lock(&growing);
		/* Another CPU may have used the slot meanwhile. */
		if (node_slots[slot] != 0) {
			atomic_flag_clear(&growing);
			continue;
		}
		number = atomic_load(&map->nodes);
		if (number == NODES) {
			atomic_fetch_add(&map->lost_nodes, 1);
			number = 0;
		} else {
			map->tree[number].parent = parent;
			map->tree[number].block = block;
			__atomic_store_n(&node_slots[slot], number, __ATOMIC_RELEASE);
			atomic_store(&map->nodes, number + 1);
		}
		atomic_flag_clear(&growing);
		return number;
	}
}

/* A thread leaves to the normal world: keep its call stack until it returns. */
static void park(struct cpu *cpu)
{
	struct stack *oldest = &parked[0];

	if (cpu->stack.depth == 0)
		return;
	lock(&parking);
	for (struct stack *each = parked; each < parked + PARKED; each++) {
		if (each->back == 0) {
			oldest = each;
			break;
		}
		if (each->when < oldest->when)
			oldest = each;
	}
	*oldest = cpu->stack;
	oldest->back = cpu->next;
	oldest->when = ++times;
	atomic_flag_clear(&parking);
	cpu->stack.depth = 0;
}

/* The depth of the call stack when an application was interrupted outside of calls. */
static uint32_t application_depth(const struct stack *stack)
{
	uint32_t depth = stack->depth;

	while (depth > 0 && !stack->frames[depth - 1].by_application)
		depth--;
	return depth;
}

/*
 * Continue the thread that resumes at this address; or, if it is an interrupted thread of an application, the last of
 * those.
 */
static void unpark(struct cpu *cpu, uint64_t address)
{
	struct stack *found = NULL;

	lock(&parking);
	for (struct stack *each = parked; each < parked + PARKED; each++) {
		bool is_it = each->back != 0 && (each->back == address ||
						 (is_application(address) && application_depth(each) > 0));

		if (is_it && (found == NULL || each->when > found->when))
			found = each;
	}
	if (found != NULL) {
		bool is_exact = found->back == address;

		cpu->stack = *found;
		if (!is_exact)
			cpu->stack.depth = application_depth(found);
		found->back = 0;
	}
	atomic_flag_clear(&parking);
}

static void came_back(struct cpu *cpu, uint64_t address)
{
	struct stack *stack = &cpu->stack;

	for (uint32_t depth = stack->depth; depth > 0; depth--)
		if (stack->frames[depth - 1].back == address) {
			stack->depth = depth - 1;
			return;
		}
	if (stack->depth == 0)
		unpark(cpu, address);
}

static void executed(unsigned int index, void *data)
{
	uint32_t number = (uint32_t)(uintptr_t)data;
	const struct block *block = &map->blocks[number];
	struct cpu *cpu;
	uint32_t parent;

	if (index >= CPUS)
		return;
	cpu = &cpus[index];
	switch (cpu->end) {
	case CALLS:
		if (cpu->stack.depth < DEPTH)
			cpu->stack.frames[cpu->stack.depth++] = (struct frame){
				.back = cpu->next, .node = cpu->node, .by_application = cpu->in_application,
			};
		break;
	case RETURNS:
		came_back(cpu, block->address);
		break;
	case LEAVES:
		park(cpu);
		break;
	case GOES_ON:
		break;
	}
	parent = cpu->stack.depth == 0 ? 0 : cpu->stack.frames[cpu->stack.depth - 1].node;
	cpu->node = node_of(parent, number);
	atomic_fetch_add_explicit(&map->tree[cpu->node].executed, block->instructions, memory_order_relaxed);
	cpu->end = is_firmware(block->address) && ends[number] != RETURNS ? GOES_ON : ends[number];
	cpu->next = block->address + 4 * (uint64_t)block->instructions;
	cpu->in_application = is_application(block->address);
}

static void stored(unsigned int cpu, uint32_t info, uint64_t address, void *data)
{
	uint32_t number = (uint32_t)(uintptr_t)data;

	(void)cpu;
	(void)info;
	/* With two CPUs the higher value may win, but each application has a stack of its own. */
	if (map->stack_low[number] == 0 || address < map->stack_low[number])
		map->stack_low[number] = address;
	if (address > map->stack_high[number])
		map->stack_high[number] = address;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	struct block block = block_of(tb, mixed(mixed(1, (uint32_t)address), (uint32_t)(address >> 32)));
	uint32_t number = number_of(&block, map->blocks, &map->count, &map->lost);
	size_t count = qemu_plugin_tb_n_insns(tb);
	uint32_t last = word_of(qemu_plugin_tb_get_insn(tb, count - 1));

	(void)id;
	if (number == BLOCKS)
		return;
	if (is_svc(last))
		atomic_store(&map->applications, (uint32_t)(address >> 30));
	ends[number] = end_of(last);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, (void *)(uintptr_t)number);
	if (!is_application(address))
		return;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint32_t word = word_of(insn);

		/* Loads and stores relative to the stack pointer. */
		if ((word & 0x0a000000) == 0x08000000 && ((word >> 5) & 31) == 31)
			qemu_plugin_register_vcpu_mem_cb(insn, stored, 0, 2, (void *)(uintptr_t)number);
	}
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	map = shared_map(argc, argv, sizeof(*map));
	if (map == NULL)
		return -1;
	map->version = VERSION;
	atomic_store(&map->nodes, 1);
	atomic_store(&map->magic, MAGIC);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
