// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A TEE client inside the kernel that is controlled through a device file, for schedules of the call queue: only
 * kernel clients can have system sessions.
 *
 * Each open file of /dev/tee_kernel_client is one client with one session. A write is one order, and returns when it
 * has been executed: the calling thread is the caller.
 *
 *	open UUID		open a session; UUID as 32 hexadecimal digits
 *	system			make it a system session
 *	invoke COMMAND A	with one value parameter, input, whose a is A
 *	update COMMAND A	with two, as the plugin test TA requires: inout and input
 *	allocate BYTES		a kernel buffer, which is registered with OP-TEE; the previous one is freed
 *	take-thread		enter OP-TEE bypassing the driver, and do not resume the call when it is interrupted
 *	return-thread		resume it: the thread taken last is free again
 *	delay COMM MS		delay a thread of this name for this time when its next wait_for_completion() ends,
 *				before it can go on: it keeps its CPU
 *
 * Errors are errnos; an error result of the TEE is EPROTO, and is printed to the kernel's log.
 */
#include <linux/arm-smccc.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/hex.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/tee_drv.h>
#include <linux/uaccess.h>

struct client {
	struct tee_context *ctx;
	struct tee_shm *shm;
	u32 session;
	bool open;
};

static int is_optee(struct tee_ioctl_version_data *version, const void *data)
{
	return version->impl_id == TEE_IMPL_ID_OPTEE;
}

static int result(const char *what, int error, u32 ret)
{
	if (error || ret)
		pr_info("tee_kernel_client: %s: error %d, result %x\n", what, error, ret);
	return error ? error : ret ? -EPROTO : 0;
}

static int open_session(struct client *client, const char *uuid)
{
	struct tee_ioctl_open_session_arg arg = { .clnt_login = TEE_IOCTL_LOGIN_PUBLIC };
	int error;

	if (client->open || hex2bin(arg.uuid, uuid, sizeof(arg.uuid)))
		return -EINVAL;
	error = result("open", tee_client_open_session(client->ctx, &arg, NULL), arg.ret);
	client->session = arg.session;
	client->open = !error;
	return error;
}

static int invoke(struct client *client, u32 command, u64 a, bool update)
{
	struct tee_ioctl_invoke_arg arg = { .func = command, .session = client->session, .num_params = update ? 2 : 1 };
	struct tee_param param[2] = { { .attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT, .u.value.a = a } };

	if (update) {
		param[0].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INOUT;
		param[1].attr = TEE_IOCTL_PARAM_ATTR_TYPE_VALUE_INPUT;
	}
	return result("invoke", tee_client_invoke_func(client->ctx, &arg, param), arg.ret);
}

static int allocate(struct client *client, size_t size)
{
	struct tee_shm *shm = tee_shm_alloc_kernel_buf(client->ctx, size);

	if (IS_ERR(shm))
		return PTR_ERR(shm);
	if (client->shm)
		tee_shm_free(client->shm);
	client->shm = shm;
	return 0;
}

/* Definitions for the two calls below, from optee_msg.h, optee_smc.h and pta_invoke_tests.h of OP-TEE. */
#define SMC_CALL_WITH_ARG	0x32000004
#define SMC_RETURN_FROM_RPC	0x32000003
#define SMC_FOREIGN_INTERRUPT	0xffff0004
#define MSG_CMD_OPEN_SESSION	0
#define MSG_CMD_INVOKE_COMMAND	1
#define MSG_VALUE_INPUT		0x1
#define MSG_VALUE_OUTPUT	0x2
#define MSG_META		0x100
#define PTA_COMMAND_MUTEX	7
#define PTA_MUTEX_READER	1

struct two_param_msg {
	u32 cmd, func, session, cancel_id, pad, ret, ret_origin, num_params;
	struct {
		u64 attr;
		union {
			struct {
				u64 a, b, c;
			};
			u8 octets[24];
		};
	} params[2];
};

static const u8 invoke_tests_pta[] = {
	0xd9, 0x6a, 0x5b, 0x40, 0xc3, 0xe5, 0x21, 0xe3, 0x87, 0x94, 0x10, 0x02, 0xa5, 0xd5, 0xc6, 0x1b
};

/*
 * This command counts under a lock that readers share; it takes long enough for an interrupt of the normal world to
 * arrive.
 */
#define READER_COUNTS	5000000

static DEFINE_MUTEX(taken_lock);
static struct arm_smccc_res taken;

static void enter(struct two_param_msg *msg)
{
	phys_addr_t address = virt_to_phys(msg);

	arm_smccc_smc(SMC_CALL_WITH_ARG, upper_32_bits(address), lower_32_bits(address), 0, 0, 0, 0, 0, &taken);
}

/* Resume the call that was interrupted in OP-TEE until it is complete. */
static void resume(void)
{
	while (taken.a0 == SMC_FOREIGN_INTERRUPT)
		arm_smccc_smc(SMC_RETURN_FROM_RPC, taken.a1, taken.a2, taken.a3, 0, 0, 0, 0, &taken);
}

/*
 * Let a call be interrupted in OP-TEE and do not resume it: it holds a thread context, and no lock that other calls
 * need.
 */
static int take_thread(void)
{
	struct two_param_msg *msg = (void *)get_zeroed_page(GFP_KERNEL);
	int error = -EBUSY;

	if (!msg)
		return -ENOMEM;
	mutex_lock(&taken_lock);
	msg->cmd = MSG_CMD_OPEN_SESSION;
	msg->num_params = 2;
	msg->params[0].attr = MSG_META | MSG_VALUE_INPUT;
	memcpy(msg->params[0].octets, invoke_tests_pta, sizeof(invoke_tests_pta));
	msg->params[1].attr = MSG_META | MSG_VALUE_INPUT;
	enter(msg);
	resume();
	if (!taken.a0 && !msg->ret) {
		msg->cmd = MSG_CMD_INVOKE_COMMAND;
		msg->func = PTA_COMMAND_MUTEX;
		msg->params[0].attr = MSG_VALUE_INPUT;
		msg->params[0].a = PTA_MUTEX_READER;
		msg->params[0].b = READER_COUNTS;
		msg->params[1].attr = MSG_VALUE_OUTPUT;
		enter(msg);
		/* OP-TEE owns the page as long as the thread is taken, possibly for ever. */
		if (taken.a0 == SMC_FOREIGN_INTERRUPT)
			error = 0;
	}
	mutex_unlock(&taken_lock);
	if (!error)
		return 0;
	pr_info("tee_kernel_client: take-thread: %lx, result %x\n", taken.a0, msg->ret);
	free_page((unsigned long)msg);
	return error;
}

static int return_thread(void)
{
	mutex_lock(&taken_lock);
	resume();
	mutex_unlock(&taken_lock);
	return 0;
}

static char held_comm[TASK_COMM_LEN];
static unsigned int held_ms;

static int sleep_ends(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	unsigned int ms = 0;

	if (strcmp(current->comm, held_comm) == 0)
		swap(ms, held_ms);
	if (ms)
		mdelay(ms);
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name = "wait_for_completion",
	.handler = sleep_ends,
	.maxactive = 64,
};

static int order(struct client *client, char *text)
{
	char word[40];
	u32 command;
	u64 number;

	if (sscanf(text, "open %32s", word) == 1)
		return open_session(client, word);
	if (strcmp(text, "system") == 0)
		return tee_client_system_session(client->ctx, client->session);
	if (sscanf(text, "invoke %u %llu", &command, &number) == 2)
		return invoke(client, command, number, false);
	if (sscanf(text, "update %u %llu", &command, &number) == 2)
		return invoke(client, command, number, true);
	if (sscanf(text, "allocate %llu", &number) == 1)
		return allocate(client, number);
	if (strcmp(text, "take-thread") == 0)
		return take_thread();
	if (strcmp(text, "return-thread") == 0)
		return return_thread();
	if (sscanf(text, "delay %15s %u", held_comm, &command) == 2) {
		held_ms = command;
		return 0;
	}
	return -EINVAL;
}

static int client_open(struct inode *inode, struct file *file)
{
	struct client *client = kzalloc(sizeof(*client), GFP_KERNEL);

	if (!client)
		return -ENOMEM;
	/* Without a driver there is no context yet; the file can then only take threads. */
	client->ctx = tee_client_open_context(NULL, is_optee, NULL, NULL);
	file->private_data = client;
	return 0;
}

static int client_release(struct inode *inode, struct file *file)
{
	struct client *client = file->private_data;

	if (client->shm)
		tee_shm_free(client->shm);
	if (client->open)
		tee_client_close_session(client->ctx, client->session);
	if (!IS_ERR(client->ctx))
		tee_client_close_context(client->ctx);
	kfree(client);
	return 0;
}

static ssize_t client_write(struct file *file, const char __user *from, size_t size, loff_t *position)
{
	struct client *client = file->private_data;
	char text[80] = { 0 };
	int error;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	if (IS_ERR(client->ctx) && strcmp(text, "take-thread") != 0)
		return PTR_ERR(client->ctx);
	error = order(client, text);
	return error ? error : size;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = client_open,
	.release = client_release,
	.write = client_write,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tee_kernel_client",
	.fops = &operations,
};

static int __init client_init(void)
{
	int error = register_kretprobe(&probe);

	if (error)
		return error;
	error = misc_register(&device);
	if (error)
		unregister_kretprobe(&probe);
	return error;
}
module_init(client_init);

static void __exit client_exit(void)
{
	misc_deregister(&device);
	unregister_kretprobe(&probe);
}
module_exit(client_exit);

MODULE_DESCRIPTION("A TEE client in the kernel that takes orders from a device file");
MODULE_LICENSE("Dual BSD/GPL");
