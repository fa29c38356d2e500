/*
 * A plugin of tee-supplicant that answers when /tmp/gate exists, so that a call of a trusted application waits for it.
 * It has the UUID of OP-TEE's test plugin, whose TA calls it; the structure is tee-supplicant's (plugin.h of
 * optee_client).
 */
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define COMMAND_PASS_VALUES 1

struct uuid {
	uint32_t time_low;
	uint16_t time_mid, time_hi_and_version;
	uint8_t clock_seq_and_node[8];
};

struct plugin_method {
	const char *name;
	struct uuid uuid;
	uint32_t (*init)(void);
	uint32_t (*invoke)(unsigned int command, unsigned int sub_command, void *data, size_t size, size_t *used);
};

static uint32_t invoke(unsigned int command, unsigned int sub_command, void *data, size_t size, size_t *used)
{
	while (command == COMMAND_PASS_VALUES && access("/tmp/gate", F_OK))
		usleep(5000);
	return 0;
}

struct plugin_method plugin_method = {
	.name = "gate",
	.uuid = { 0xf07bfc66, 0x958c, 0x4a15, { 0x99, 0xc0, 0x26, 0x0e, 0x4e, 0x73, 0x75, 0xdd } },
	.invoke = invoke,
};
