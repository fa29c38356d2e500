/*
 * The interface between the monitor and its normal world (mailbox.S; Linux, for comparison).
 *
 * The normal world provides:
 *   world_prepare		once on each CPU after reset, before OP-TEE runs; x19 = number of the CPU, x30 = return address
 *   world_may_start		a secondary CPU asks whether it may enter OP-TEE: x0 = 0 if not yet; x30 = return address
 *   world_start		OP-TEE has booted on this CPU: take over; x0 = number of the CPU
 *   world_call_done		OP-TEE has completed a call; x1..x4 = the caller's x0..x3
 *   world_ffa_done		the answer to an FF-A call: x0..x7
 *   world_interrupt_done	OP-TEE has handled a secure interrupt
 *   world_smc			an SMC from a lower level with SCR_EL3.NS set; x16, x17 are in CONTEXT_SCRATCH
 *   world_secure_interrupt	a secure interrupt with SCR_EL3.NS set; likewise
 * The monitor provides:
 *   enter_optee		x16 = VECTOR_..., x0..x7 for OP-TEE
 *   spmd_call			an FF-A call: x0..x7
 *   fatal_exception		x0 = number of the vector
 * SP_EL3 always points to the CPU's context. OP-TEE overwrites all general-purpose registers.
 */

/* Context of a CPU, at SECURE_RAM + cpu * CONTEXT_SIZE. QEMU initialises the RAM with zeros. */
#define CONTEXT_S_SPSR		0x000		/* PSTATE of OP-TEE at its return, which is restored */
#define CONTEXT_S_ELR		0x008		/* over FF-A: where OP-TEE continues */
#define CONTEXT_SCRATCH		0x010		/* x16, x17 of the caller */
#define CONTEXT_SPMD		0x020		/* one of SPMD_... */
#define CONTEXT_SPMD_X8		0x028
#define CONTEXT_WORLD		0x030		/* for the normal world */
#define CONTEXT_SIZE		0x400
#define CONTEXT_SIZE_SHIFT	10

/* Data shared by all CPUs, behind their contexts. */
#define VECTORS			(SECURE_RAM + CPU_COUNT * CONTEXT_SIZE)	/* OP-TEE's vector table; 0 over FF-A */
#define LATER_ENTRY		(VECTORS + 0x08)	/* entry point of secondary CPUs into OP-TEE; 0 until it has booted */
#define SECONDARY_ENTRY		(VECTORS + 0x10)	/* from FFA_SECONDARY_EP_REGISTER */
#define NORMAL_VERSION		(VECTORS + 0x18)	/* FF-A version of the normal world */

/* Why OP-TEE was entered as a partition manager. */
#define SPMD_BOOT		0
#define SPMD_IDLE		1		/* the normal world runs */
#define SPMD_CALL		2
#define SPMD_VERSION		3		/* the framework message for FFA_VERSION */
#define SPMD_INTERRUPT		4

/* Reported like the vector of an exception: OP-TEE failed to boot as a partition manager; the syndrome is its error. */
#define VECTOR_SPMC_FAILED	32

/* Entries of OP-TEE's vector table: one branch instruction each (struct optee_vectors of TF-A's dispatcher). */
#define VECTOR_YIELDING		0x00
#define VECTOR_FAST		0x04
#define VECTOR_CPU_ON		0x08
#define VECTOR_FIQ		0x18

#define SCR_SECURE		0xc30		/* RW: EL1 is AArch64; ST: OP-TEE may use the secure timer; RES1 */
#define SCR_NORMAL		0x435		/* RW; NS; FIQ: secure interrupts come to EL3; RES1 */
#define SPSR_EL1H		0x3c5		/* EL1 on its own stack, D, A, I, F masked */
#define SCTLR_EL1_COLD		0x30d00800	/* MMU and caches off, RES1 bits: what a cold start expects */

#define TRUSTED_OS_FIRST_OWNER	50		/* SMCCC: owners 50..63 are trusted operating systems */

	/* Sets flags "lo" if w0 is a function id of FF-A: a fast call, owner 4, numbers 0x60..0xef. Uses \a, \b. */
	.macro	is_ffa a, b
	bic	\a, w0, #0x40000000		/* SMC32 or SMC64 */
	movz	\b, #0x8400, lsl #16
	sub	\a, \a, \b
	sub	\a, \a, #0x60
	cmp	\a, #0x90
	.endm
