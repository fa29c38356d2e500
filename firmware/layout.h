/*
 * The memory map and the mailbox, shared by the firmware and the host. The host's side is src/worlds/qemu/mailbox.ts.
 */

#define CPU_COUNT		4		/* OP-TEE is built for at most 4 */

/* Physical addresses: machine "virt" of QEMU with secure=on, and OP-TEE's platform vexpress-qemu_armv8a. */
#define UART0			0x09000000	/* non-secure PL011: the doorbell, in both directions */
#define GIC_DISTRIBUTOR		0x08000000
#define GIC_REDISTRIBUTOR	0x080a0000	/* one per 0x20000 bytes, SGI frame at 0x10000 */
#define SECURE_RAM		0x0e000000	/* the monitor's data */
#define OPTEE			0x0e100000	/* load and entry address of OP-TEE */
#define PAGEABLE		0x0e900000	/* its pageable part, until OP-TEE moves it */
#define DEVICE_TREE		0x40000000	/* written by QEMU, edited in place by OP-TEE */
#define MAILBOX			0x40100000
#define OPTEE_STAGING		0x41000000	/* where the host puts OP-TEE's image */
#define PAGEABLE_STAGING	0x41800000	/* ... and its pageable part */
#define PLATFORM_MEMORY		0x41f00000	/* up to OP-TEE's shared memory: SCMI channels at fixed addresses */

/* Interrupts of the normal world. */
#define INTID_WAKE		0		/* SGI: another CPU forwards the doorbell */
#define INTID_UART0		33
#define INTID_NOTIFICATION	219		/* OP-TEE's asynchronous notifications: SPI 187 */
#define INTID_SPECIAL		1020		/* this and above: no interrupt is pending */
/* A secure interrupt of the monitor, which OP-TEE never sees. */
#define INTID_CPU_ON		9		/* OP-TEE uses 8 for notifications over FF-A */

/* Mailbox: a header, then one slot per CPU. All words are 32-bit little-endian. */
#define MAILBOX_OPTEE_SIZE	0x00		/* host: size of OP-TEE's image, a multiple of 16; 0 until it is there */
#define MAILBOX_POLLS		0x04		/* host: how often a CPU polls its doorbell before it sleeps */
#define MAILBOX_HOST_SLEEPS	0x08		/* host: send a byte to UART0 when a call is complete */
#define MAILBOX_ABI		0x0c		/* firmware: one of ABI_..., before the first CPU is awake */
#define MAILBOX_PAGEABLE_SIZE	0x10		/* host: size of the pageable part, a multiple of 16, set before OPTEE_SIZE; 0: none */
#define MAILBOX_SLOTS		0x100
#define SLOT_SIZE		0x100
#define SLOT_SIZE_SHIFT		8
/* Words written by the host and words written by the firmware are on separate cache lines. */
#define SLOT_DOORBELL		0x00		/* host: number of the call to make */
#define SLOT_ARGUMENTS		0x08		/* host: w0..w7 of it */
#define SLOT_DONE		0x40		/* firmware: number of the last call made */
#define SLOT_STATE		0x44		/* firmware: one of CPU_... */
#define SLOT_RESULTS		0x48		/* firmware: w0..w7 after it */
#define SLOT_NOTIFICATIONS	0x68		/* firmware: notification interrupts seen by this CPU */
#define SLOT_FATAL		0x80		/* fatal exception: 1 if there was one, its vector, then 64 bits each: */
#define SLOT_FATAL_SYNDROME	0x88		/* ESR_EL3, ELR_EL3, FAR_EL3, SPSR_EL3; of EL1 for an early vector */
#define EARLY_VECTORS		16		/* vectors from here on: at S-EL1, before OP-TEE has installed its own */

#define CPU_ABSENT		0		/* absent, or not started yet */
#define CPU_AWAKE		1
#define CPU_SLEEPING		2		/* in or about to enter WFI: a byte with its number on UART0 wakes it */

/* The interface of OP-TEE, which its image determines. */
#define ABI_SMC			1		/* optee_smc.h: functions of a trusted OS */
#define ABI_FFA			2		/* OP-TEE is its own secure partition manager */
