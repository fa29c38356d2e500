/*
 * What the monitor and its normal world (mailbox.S; Linux, for comparison) know of each other.
 *
 * The normal world provides:
 *   world_prepare		once on each CPU after reset, before OP-TEE runs; x19 = number of the CPU, x30 = where back
 *   world_may_start		a later CPU asks whether it may enter OP-TEE: x0 = 0 if not yet; x30 = where back
 *   world_start		OP-TEE is up on this CPU: take over; x0 = number of the CPU
 *   world_call_done		OP-TEE is done with a call; x1..x4 = the caller's x0..x3
 *   world_interrupt_done	OP-TEE is done with a secure interrupt
 *   world_smc			an SMC from below with SCR_EL3.NS set; x16, x17 are in CONTEXT_SCRATCH
 *   world_secure_interrupt	a secure interrupt with SCR_EL3.NS set; likewise
 * The monitor provides:
 *   enter_optee		x16 = VECTOR_..., x0..x7 as OP-TEE shall see them
 *   fatal_exception		x0 = number of the vector
 * SP_EL3 points to the CPU's context at all times. No general register of EL3 survives OP-TEE.
 */

/* Context of a CPU, at SECURE_RAM + cpu * CONTEXT_SIZE. QEMU gives the RAM zeroed. */
#define CONTEXT_S_SPSR		0x000		/* PSTATE with which OP-TEE left: it expects it back */
#define CONTEXT_SCRATCH		0x010		/* x16, x17 of whoever called */
#define CONTEXT_WORLD		0x020		/* the normal world's own */
#define CONTEXT_SIZE		0x400
#define CONTEXT_SIZE_SHIFT	10

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
