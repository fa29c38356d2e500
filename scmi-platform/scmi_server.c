// SPDX-License-Identifier: BSD-2-Clause
/*
 * What OP-TEE's SCMI server serves on QEMU's "virt" machine, which has no clocks, regulators or resets for it: a set of each,
 * whose state is here alone. They are what an eMMC card needs. Four channels, which all see the same: 0 and 1 have their
 * memory with each message (MSG, or SMT in a buffer of the caller's), 2 and 3 at a fixed place (SMT), one page each.
 */
#include <drivers/scmi.h>
#include <drivers/scmi-msg.h>
#include <initcall.h>
#include <kernel/spinlock.h>
#include <mm/core_memprot.h>
#include <mm/core_mmu.h>
#include <string.h>
#include <util.h>

#define VOLTAGE_ON	SCMI_VOLTAGE_DOMAIN_CONFIG_ARCH_ON
#define VOLTAGE_OFF	SCMI_VOLTAGE_DOMAIN_CONFIG_ARCH_OFF

struct clock {
	const char *name;
	const unsigned long *rates;
	size_t rate_count;
	unsigned long rate;
	bool enabled;
};

struct regulator {
	const char *name;
	const long *levels;
	size_t level_count;
	long level;
	uint32_t config;
};

struct reset {
	const char *name;
	bool asserted;
	unsigned int cycles;
};

/* Hz, ascending: identification, high speed, DDR */
static const unsigned long emmc_rates[] = { 400000, 26000000, 52000000 };
static const unsigned long bus_rates[] = { 100000000, 200000000 };
/* uV, ascending */
static const long vmmc_levels[] = { 2700000, 3300000, 3600000 };
static const long vqmmc_levels[] = { 1800000, 3300000 };

static struct clock clocks[] = {
	{ .name = "emmc-clock", .rates = emmc_rates, .rate_count = ARRAY_SIZE(emmc_rates), .rate = 400000 },
	{ .name = "emmc-bus", .rates = bus_rates, .rate_count = ARRAY_SIZE(bus_rates), .rate = 100000000 },
};

static struct regulator regulators[] = {
	{ .name = "vmmc", .levels = vmmc_levels, .level_count = ARRAY_SIZE(vmmc_levels), .level = 3300000 },
	{ .name = "vqmmc", .levels = vqmmc_levels, .level_count = ARRAY_SIZE(vqmmc_levels), .level = 1800000 },
};

static struct reset resets[] = {
	{ .name = "emmc-reset" },
};

/* Non-secure RAM that nobody else uses: src/worlds/qemu/qemu-world.ts leaves it free, and firmware/layout.h says where it is. */
#define FIXED_MEMORY	0x41f00000
#define FIXED_CHANNEL	2

static struct scmi_msg_channel channels[] = {
	{ .threaded = true },
	{ .threaded = true },
	{ .threaded = true },
	{ .threaded = true },
};

register_phys_mem(MEM_AREA_RAM_NSEC, FIXED_MEMORY,
		  (ARRAY_SIZE(channels) - FIXED_CHANNEL) * SMALL_PAGE_SIZE);

static TEE_Result init_fixed_channels(void)
{
	size_t n = 0;

	for (n = FIXED_CHANNEL; n < ARRAY_SIZE(channels); n++) {
		struct scmi_msg_channel *channel = channels + n;
		paddr_t pa = FIXED_MEMORY + (n - FIXED_CHANNEL) * SMALL_PAGE_SIZE;

		channel->shm_addr.pa = pa;
		channel->shm_addr.va = (vaddr_t)phys_to_virt(pa, MEM_AREA_RAM_NSEC,
							     SMALL_PAGE_SIZE);
		channel->shm_size = SMT_BUF_SLOT_SIZE;
		scmi_smt_init_agent_channel(channel);
	}

	return TEE_SUCCESS;
}
driver_init(init_fixed_channels);

static const uint8_t protocols[] = {
	SCMI_PROTOCOL_ID_CLOCK,
	SCMI_PROTOCOL_ID_RESET_DOMAIN,
	SCMI_PROTOCOL_ID_VOLTAGE_DOMAIN,
	0 /* ends the list */
};

/* Calls of the two channels may come at once. */
static unsigned int lock = SPINLOCK_UNLOCK;

struct scmi_msg_channel *plat_scmi_get_channel(unsigned int channel_id)
{
	return channel_id < ARRAY_SIZE(channels) ? channels + channel_id : NULL;
}

size_t plat_scmi_protocol_count(void)
{
	return ARRAY_SIZE(protocols) - 1;
}

const uint8_t *plat_scmi_protocol_list(unsigned int channel_id __unused)
{
	return protocols;
}

const char *plat_scmi_vendor_name(void)
{
	return "normalworld";
}

const char *plat_scmi_sub_vendor_name(void)
{
	return "virt";
}

/* Clocks */

static struct clock *find_clock(unsigned int channel_id, unsigned int scmi_id)
{
	if (channel_id >= ARRAY_SIZE(channels) || scmi_id >= ARRAY_SIZE(clocks))
		return NULL;

	return clocks + scmi_id;
}

size_t plat_scmi_clock_count(unsigned int channel_id)
{
	return channel_id < ARRAY_SIZE(channels) ? ARRAY_SIZE(clocks) : 0;
}

const char *plat_scmi_clock_get_name(unsigned int channel_id,
				     unsigned int scmi_id)
{
	struct clock *clock = find_clock(channel_id, scmi_id);

	return clock ? clock->name : NULL;
}

int32_t plat_scmi_clock_rates_array(unsigned int channel_id,
				    unsigned int scmi_id, size_t start_index,
				    unsigned long *rates, size_t *nb_elts)
{
	struct clock *clock = find_clock(channel_id, scmi_id);
	size_t left = 0;

	if (!clock)
		return SCMI_NOT_FOUND;
	if (start_index > clock->rate_count)
		return SCMI_OUT_OF_RANGE;

	left = clock->rate_count - start_index;
	if (rates) {
		left = MIN(left, *nb_elts);
		memcpy(rates, clock->rates + start_index,
		       left * sizeof(*rates));
	}
	*nb_elts = left;

	return SCMI_SUCCESS;
}

unsigned long plat_scmi_clock_get_rate(unsigned int channel_id,
				       unsigned int scmi_id)
{
	struct clock *clock = find_clock(channel_id, scmi_id);
	unsigned long rate = 0;
	uint32_t state = 0;

	if (!clock)
		return 0;

	state = cpu_spin_lock_xsave(&lock);
	rate = clock->rate;
	cpu_spin_unlock_xrestore(&lock, state);

	return rate;
}

int32_t plat_scmi_clock_set_rate(unsigned int channel_id, unsigned int scmi_id,
				 unsigned long rate)
{
	struct clock *clock = find_clock(channel_id, scmi_id);
	uint32_t state = 0;
	size_t n = 0;

	if (!clock)
		return SCMI_NOT_FOUND;

	for (n = 0; n < clock->rate_count; n++) {
		if (clock->rates[n] != rate)
			continue;

		state = cpu_spin_lock_xsave(&lock);
		clock->rate = rate;
		cpu_spin_unlock_xrestore(&lock, state);

		return SCMI_SUCCESS;
	}

	return SCMI_INVALID_PARAMETERS;
}

int32_t plat_scmi_clock_get_state(unsigned int channel_id, unsigned int scmi_id)
{
	struct clock *clock = find_clock(channel_id, scmi_id);
	bool enabled = false;
	uint32_t state = 0;

	if (!clock)
		return SCMI_NOT_FOUND;

	state = cpu_spin_lock_xsave(&lock);
	enabled = clock->enabled;
	cpu_spin_unlock_xrestore(&lock, state);

	return enabled;
}

int32_t plat_scmi_clock_set_state(unsigned int channel_id, unsigned int scmi_id,
				  bool enable_not_disable)
{
	struct clock *clock = find_clock(channel_id, scmi_id);
	uint32_t state = 0;

	if (!clock)
		return SCMI_NOT_FOUND;

	state = cpu_spin_lock_xsave(&lock);
	clock->enabled = enable_not_disable;
	cpu_spin_unlock_xrestore(&lock, state);

	return SCMI_SUCCESS;
}

/* Resets */

static struct reset *find_reset(unsigned int channel_id, unsigned int scmi_id)
{
	if (channel_id >= ARRAY_SIZE(channels) || scmi_id >= ARRAY_SIZE(resets))
		return NULL;

	return resets + scmi_id;
}

size_t plat_scmi_rd_count(unsigned int channel_id)
{
	return channel_id < ARRAY_SIZE(channels) ? ARRAY_SIZE(resets) : 0;
}

const char *plat_scmi_rd_get_name(unsigned int channel_id, unsigned int scmi_id)
{
	struct reset *reset = find_reset(channel_id, scmi_id);

	return reset ? reset->name : NULL;
}

int32_t plat_scmi_rd_autonomous(unsigned int channel_id, unsigned int scmi_id,
				unsigned int state)
{
	struct reset *reset = find_reset(channel_id, scmi_id);
	uint32_t exceptions = 0;

	if (!reset)
		return SCMI_NOT_FOUND;
	/* 0: architectural, all context is lost. It has no other. */
	if (state)
		return SCMI_NOT_SUPPORTED;

	exceptions = cpu_spin_lock_xsave(&lock);
	reset->asserted = false;
	reset->cycles++;
	cpu_spin_unlock_xrestore(&lock, exceptions);

	return SCMI_SUCCESS;
}

int32_t plat_scmi_rd_set_state(unsigned int channel_id, unsigned int scmi_id,
			       bool assert_not_deassert)
{
	struct reset *reset = find_reset(channel_id, scmi_id);
	uint32_t exceptions = 0;

	if (!reset)
		return SCMI_NOT_FOUND;

	exceptions = cpu_spin_lock_xsave(&lock);
	reset->asserted = assert_not_deassert;
	cpu_spin_unlock_xrestore(&lock, exceptions);

	return SCMI_SUCCESS;
}

/* Regulators */

static struct regulator *find_regulator(unsigned int channel_id,
					unsigned int scmi_id)
{
	if (channel_id >= ARRAY_SIZE(channels) ||
	    scmi_id >= ARRAY_SIZE(regulators))
		return NULL;

	return regulators + scmi_id;
}

size_t plat_scmi_voltd_count(unsigned int channel_id)
{
	return channel_id < ARRAY_SIZE(channels) ? ARRAY_SIZE(regulators) : 0;
}

const char *plat_scmi_voltd_get_name(unsigned int channel_id,
				     unsigned int scmi_id)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);

	return regulator ? regulator->name : NULL;
}

int32_t plat_scmi_voltd_levels_array(unsigned int channel_id,
				     unsigned int scmi_id, size_t start_index,
				     long *levels, size_t *nb_elts)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);
	size_t left = 0;

	if (!regulator)
		return SCMI_NOT_FOUND;
	if (start_index > regulator->level_count)
		return SCMI_OUT_OF_RANGE;

	left = regulator->level_count - start_index;
	if (levels) {
		left = MIN(left, *nb_elts);
		memcpy(levels, regulator->levels + start_index,
		       left * sizeof(*levels));
	}
	*nb_elts = left;

	return SCMI_SUCCESS;
}

int32_t plat_scmi_voltd_get_level(unsigned int channel_id, unsigned int scmi_id,
				  long *level)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);
	uint32_t state = 0;

	if (!regulator)
		return SCMI_NOT_FOUND;

	state = cpu_spin_lock_xsave(&lock);
	*level = regulator->level;
	cpu_spin_unlock_xrestore(&lock, state);

	return SCMI_SUCCESS;
}

int32_t plat_scmi_voltd_set_level(unsigned int channel_id, unsigned int scmi_id,
				  long level)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);
	uint32_t state = 0;
	size_t n = 0;

	if (!regulator)
		return SCMI_NOT_FOUND;

	for (n = 0; n < regulator->level_count; n++) {
		if (regulator->levels[n] != level)
			continue;

		state = cpu_spin_lock_xsave(&lock);
		regulator->level = level;
		cpu_spin_unlock_xrestore(&lock, state);

		return SCMI_SUCCESS;
	}

	return SCMI_OUT_OF_RANGE;
}

int32_t plat_scmi_voltd_get_config(unsigned int channel_id,
				   unsigned int scmi_id, uint32_t *config)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);
	uint32_t state = 0;

	if (!regulator)
		return SCMI_NOT_FOUND;

	state = cpu_spin_lock_xsave(&lock);
	*config = regulator->config;
	cpu_spin_unlock_xrestore(&lock, state);

	return SCMI_SUCCESS;
}

int32_t plat_scmi_voltd_set_config(unsigned int channel_id,
				   unsigned int scmi_id, uint32_t config)
{
	struct regulator *regulator = find_regulator(channel_id, scmi_id);
	uint32_t state = 0;

	if (!regulator)
		return SCMI_NOT_FOUND;
	if (config != VOLTAGE_ON && config != VOLTAGE_OFF)
		return SCMI_INVALID_PARAMETERS;

	state = cpu_spin_lock_xsave(&lock);
	regulator->config = config;
	cpu_spin_unlock_xrestore(&lock, state);

	return SCMI_SUCCESS;
}
