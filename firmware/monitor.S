/*
 * The EL3 monitor: boots OP-TEE at S-EL1 on every CPU and switches between it and the normal world.
 *
 * A world switch changes SCR_EL3, the general registers, where ERET goes, and what the normal world's header
 * (NORMAL_WORLD) adds. SP_EL3 points to the CPU's context at all times.
 *
 * OP-TEE's side of the conversation is that of TF-A's dispatcher for it: core/arch/arm/include/sm/optee_smc.h and
 * teesmc_opteed.h of OP-TEE/optee_os.
 */
#include "layout.h"
#include "fatal.h"

/* Context of a CPU, at SECURE_RAM + cpu * CONTEXT_SIZE. QEMU gives the RAM zeroed. */
#define CONTEXT_NS_X		0x000		/* x0..x30 of the normal world */
#define CONTEXT_NS_ELR		0x0f8
#define CONTEXT_NS_SPSR		0x100
#define CONTEXT_S_SPSR		0x108		/* PSTATE with which OP-TEE left: it expects it back */
#define CONTEXT_SCRATCH		0x110		/* x16, x17 of whoever called */
#define CONTEXT_SIZE		0x200
#define CONTEXT_SIZE_SHIFT	9
/* OP-TEE's vector table, told once by the first CPU. */
#define VECTORS			(SECURE_RAM + CPU_COUNT * CONTEXT_SIZE)

/* Entries of that table: one branch instruction each (struct optee_vectors of the dispatcher). */
#define VECTOR_YIELDING		0x00
#define VECTOR_FAST		0x04
#define VECTOR_CPU_ON		0x08
#define VECTOR_FIQ		0x18

#define SCR_SECURE		0xc30		/* RW: EL1 is AArch64; ST: OP-TEE may use the secure timer; RES1 */
#define SCR_NORMAL		0x435		/* RW; NS; FIQ: secure interrupts come here; RES1 */
#define SPSR_EL1H		0x3c5		/* EL1 on its own stack, D, A, I, F masked */
#define SCTLR_EL1_COLD		0x30d00800	/* MMU and caches off, RES1 bits: what a cold OP-TEE expects */
#define SCTLR_EL3_VALUE		0x30c51830	/* MMU off; RES1 bits */

#define TRUSTED_OS_FIRST_OWNER	50		/* SMCCC: owners 50..63 are trusted operating systems */
#define OPTEED_ENTRY_DONE	0x0000		/* 0xbe000000: booted; x1 = vector table */
#define OPTEED_ON_DONE		0x0001
#define OPTEED_CALL_DONE	0x0005		/* x1..x4 are the caller's x0..x3 */
#define OPTEED_FIQ_DONE		0x0006
#define EC_SMC64		0x17

#include NORMAL_WORLD

	.section .monitor, "ax"
	.global	_start
_start:
	ldr	x0, =SCTLR_EL3_VALUE
	msr	sctlr_el3, x0
	msr	cptr_el3, xzr			/* let floating point through: OP-TEE saves it lazily */
	adr	x0, vectors
	msr	vbar_el3, x0
	mov	x0, #SCR_SECURE			/* the ICC registers below are the secure ones */
	msr	scr_el3, x0
	isb

	mrs	x19, mpidr_el1
	and	x19, x19, #0xff			/* "virt" numbers CPUs in affinity 0 */
	cmp	x19, #CPU_COUNT
	b.hs	park
	ldr	x0, =SECURE_RAM
	add	x0, x0, x19, lsl #CONTEXT_SIZE_SHIFT
	mov	sp, x0

	/* This CPU's redistributor: awake; SGI 8..15 secure group 1, the rest of 0..31 the normal world's. */
	ldr	x0, =GIC_REDISTRIBUTOR
	add	x0, x0, x19, lsl #17
	ldr	w1, [x0, #0x14]			/* GICR_WAKER */
	bic	w1, w1, #2			/* ProcessorSleep: no interrupt gets through while it is set */
	str	w1, [x0, #0x14]
	add	x0, x0, #0x10000
	mov	w1, #0xffff00ff
	str	w1, [x0, #0x80]			/* GICR_IGROUPR0 */
	mov	w1, #0xff00
	str	w1, [x0, #0xd00]		/* GICR_IGRPMODR0: group 1 secure rather than group 0 */
	str	w1, [x0, #0x100]		/* GICR_ISENABLER0 */

	/* Its CPU interface: system registers at every level and in both worlds, every priority, every group. */
	mov	x0, #0xf
	msr	s3_6_c12_c12_5, x0		/* ICC_SRE_EL3 */
	isb
	mov	x0, #7
	msr	s3_0_c12_c12_5, x0		/* ICC_SRE_EL1, secure */
	mov	x1, #SCR_NORMAL
	msr	scr_el3, x1
	isb
	msr	s3_0_c12_c12_5, x0		/* ICC_SRE_EL1, non-secure */
	mov	x0, #0xf
	msr	s3_4_c12_c9_5, x0		/* ICC_SRE_EL2 */
	mov	x1, #SCR_SECURE
	msr	scr_el3, x1
	isb
	mov	x0, #0xff
	msr	s3_0_c4_c6_0, x0		/* ICC_PMR_EL1 */
	mov	x0, #1
	msr	s3_0_c12_c12_6, x0		/* ICC_IGRPEN0_EL1 */
	mov	x0, #3
	msr	s3_6_c12_c12_7, x0		/* ICC_IGRPEN1_EL3: both worlds */
	isb

	mov	x0, #SCTLR_EL1_COLD & 0xffff
	movk	x0, #SCTLR_EL1_COLD >> 16, lsl #16
	msr	sctlr_el1, x0
	prepare_normal_world
	cbnz	x19, later_cpu

first_cpu:
	/* Distributor: affinity routing before anything else, all shared interrupts to the normal world, all groups on. */
	ldr	x0, =GIC_DISTRIBUTOR
	mov	w1, #0x30
	str	w1, [x0]			/* GICD_CTLR: ARE_S, ARE_NS */
	mov	w2, #-1
	ldr	w3, =0xa0a0a0a0
	mov	x4, #1				/* word 0 of each is the redistributors' */
1:	add	x5, x0, x4, lsl #2
	str	w2, [x5, #0x80]			/* GICD_IGROUPR<n> */
	add	x4, x4, #1
	cmp	x4, #32
	b.lo	1b
	add	x5, x0, #0x420			/* GICD_IPRIORITYR: INTID 32 .. 1019 */
	add	x6, x0, #0x7fc
2:	str	w3, [x5], #4
	cmp	x5, x6
	b.lo	2b
	mov	w1, #0x37
	str	w1, [x0]

	/* The proxy from flash, OP-TEE from where the host put it. Sizes are multiples of 16. */
	adr	x0, proxy_image
	ldr	x1, =PROXY
	ldr	x2, =proxy_size
	bl	copy
	ldr	x0, =OPTEE_STAGING
	ldr	x1, =OPTEE
	ldr	x2, =MAILBOX
	ldr	w2, [x2, #MAILBOX_OPTEE_SIZE]
	bl	copy

	ldr	x0, =OPTEE
	msr	elr_el3, x0
	mov	x2, #DEVICE_TREE		/* OP-TEE learns from it which RAM may be shared dynamically */
	b	cold_entry

later_cpu:
	/* Sleep until the first CPU has OP-TEE up, then enter it at its cpu_on vector. */
	ldr	x1, =VECTORS
1:	wfi
	mrs	x0, s3_0_c12_c12_0		/* ICC_IAR1_EL1 */
	cmp	x0, #INTID_SPECIAL
	b.hs	2f
	msr	s3_0_c12_c12_1, x0		/* ICC_EOIR1_EL1 */
2:	ldr	x0, [x1]
	cbz	x0, 1b
	unless_started	1b
	add	x0, x0, #VECTOR_CPU_ON
	msr	elr_el3, x0
	mov	x2, #0

cold_entry:
	mov	x0, #SPSR_EL1H
	msr	spsr_el3, x0
	mov	x0, #0				/* no pageable part */
	mov	x1, #0
	mov	x3, #0
	eret

copy:	/* x2 bytes from x0 to x1 */
	cbz	x2, 2f
1:	ldp	x3, x4, [x0], #16
	stp	x3, x4, [x1], #16
	subs	x2, x2, #16
	b.hi	1b
2:	ret

park:	wfi
	b	park

/* ---- Calls and interrupts from below ---- */

	.macro	save_normal_world
	stp	x0, x1, [sp, #CONTEXT_NS_X + 0x00]
	stp	x2, x3, [sp, #CONTEXT_NS_X + 0x10]
	stp	x4, x5, [sp, #CONTEXT_NS_X + 0x20]
	stp	x6, x7, [sp, #CONTEXT_NS_X + 0x30]
	stp	x8, x9, [sp, #CONTEXT_NS_X + 0x40]
	stp	x10, x11, [sp, #CONTEXT_NS_X + 0x50]
	stp	x12, x13, [sp, #CONTEXT_NS_X + 0x60]
	stp	x14, x15, [sp, #CONTEXT_NS_X + 0x70]
	stp	x16, x17, [sp, #CONTEXT_NS_X + 0x80]
	stp	x18, x19, [sp, #CONTEXT_NS_X + 0x90]
	stp	x20, x21, [sp, #CONTEXT_NS_X + 0xa0]
	stp	x22, x23, [sp, #CONTEXT_NS_X + 0xb0]
	stp	x24, x25, [sp, #CONTEXT_NS_X + 0xc0]
	stp	x26, x27, [sp, #CONTEXT_NS_X + 0xd0]
	stp	x28, x29, [sp, #CONTEXT_NS_X + 0xe0]
	mrs	x16, elr_el3
	mrs	x17, spsr_el3
	stp	x30, x16, [sp, #CONTEXT_NS_X + 0xf0]
	str	x17, [sp, #CONTEXT_NS_SPSR]
	.endm

	/* x16 = where in OP-TEE; x0..x7 as OP-TEE shall see them */
	.macro	enter_optee
	switch_to_optee
	msr	elr_el3, x16
	ldr	x17, [sp, #CONTEXT_S_SPSR]
	msr	spsr_el3, x17
	mov	x17, #SCR_SECURE
	msr	scr_el3, x17
	eret
	.endm

from_below:
	stp	x16, x17, [sp, #CONTEXT_SCRATCH]
	mrs	x16, esr_el3
	lsr	x16, x16, #26
	cmp	x16, #EC_SMC64
	b.ne	trapped
	mrs	x16, scr_el3
	tbz	x16, #0, from_optee

from_normal_world:
	/* Only a trusted OS's own range gets to OP-TEE; it sees neither PSCI nor other services. */
	ubfx	x16, x0, #24, #6
	cmp	x16, #TRUSTED_OS_FIRST_OWNER
	b.lo	normal_world_service
	ldp	x16, x17, [sp, #CONTEXT_SCRATCH]
	save_normal_world
	ldr	x16, =VECTORS
	ldr	x16, [x16]
	ubfx	x17, x0, #31, #1		/* bit 31: a fast call */
	add	x16, x16, x17, lsl #2		/* VECTOR_YIELDING or VECTOR_FAST */
	enter_optee

secure_interrupt:
	ldp	x16, x17, [sp, #CONTEXT_SCRATCH]
	save_normal_world
	mrs	x0, elr_el3			/* OP-TEE wants to know what it interrupted */
	ldr	x16, =VECTORS
	ldr	x16, [x16]
	add	x16, x16, #VECTOR_FIQ
	enter_optee

from_optee:
	lsr	w16, w0, #16
	mov	w17, #0xbe00			/* fast call, SMC32, owner 62: the dispatcher's own */
	cmp	w16, w17
	b.ne	service
	mrs	x16, spsr_el3
	str	x16, [sp, #CONTEXT_S_SPSR]
	and	w16, w0, #0xffff
	cmp	w16, #OPTEED_CALL_DONE
	b.eq	call_done
	cmp	w16, #OPTEED_FIQ_DONE
	b.eq	interrupt_done
	cmp	w16, #OPTEED_ON_DONE
	b.eq	start
	cmp	w16, #OPTEED_ENTRY_DONE
	b.ne	unknown

entry_done:
	ldr	x16, =VECTORS
	str	x1, [x16]
	dsb	ish				/* the vector table before the interrupt that says it is there */
	ldr	x16, =(INTID_CPU_ON << 24) | ((1 << CPU_COUNT) - 2)
	msr	s3_0_c12_c11_5, x16		/* ICC_SGI1R_EL1: all CPUs but the first */
	isb

start:
	switch_to_normal_world
	mov	x16, #SCR_NORMAL
	msr	scr_el3, x16
	mrs	x0, mpidr_el1
	and	x0, x0, #0xff
	start_normal_world
	eret

interrupt_done:
	ldp	x0, x1, [sp, #CONTEXT_NS_X + 0x00]
	ldp	x2, x3, [sp, #CONTEXT_NS_X + 0x10]
	b	to_normal_world

call_done:
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4

to_normal_world:
	switch_to_normal_world
	/* All but the results as they were: the caller keeps its registers and sees none of OP-TEE's. */
	ldp	x30, x16, [sp, #CONTEXT_NS_X + 0xf0]
	ldr	x17, [sp, #CONTEXT_NS_SPSR]
	msr	elr_el3, x16
	msr	spsr_el3, x17
	mov	x16, #SCR_NORMAL
	msr	scr_el3, x16
	ldp	x4, x5, [sp, #CONTEXT_NS_X + 0x20]
	ldp	x6, x7, [sp, #CONTEXT_NS_X + 0x30]
	ldp	x8, x9, [sp, #CONTEXT_NS_X + 0x40]
	ldp	x10, x11, [sp, #CONTEXT_NS_X + 0x50]
	ldp	x12, x13, [sp, #CONTEXT_NS_X + 0x60]
	ldp	x14, x15, [sp, #CONTEXT_NS_X + 0x70]
	ldp	x16, x17, [sp, #CONTEXT_NS_X + 0x80]
	ldp	x18, x19, [sp, #CONTEXT_NS_X + 0x90]
	ldp	x20, x21, [sp, #CONTEXT_NS_X + 0xa0]
	ldp	x22, x23, [sp, #CONTEXT_NS_X + 0xb0]
	ldp	x24, x25, [sp, #CONTEXT_NS_X + 0xc0]
	ldp	x26, x27, [sp, #CONTEXT_NS_X + 0xd0]
	ldp	x28, x29, [sp, #CONTEXT_NS_X + 0xe0]
	eret

normal_world_service:
	serve_normal_world
	b	unknown
service:
	/* OP-TEE asks for the SMCCC version while it boots, and stops when there is none. */
	mov	w16, #0x80000000
	cmp	w0, w16
	b.ne	unknown
	mov	w0, #0x10001			/* SMCCC 1.1 */
	b	answered
unknown:
	mov	x0, #-1				/* SMCCC: unknown function */
answered:
	ldp	x16, x17, [sp, #CONTEXT_SCRATCH]
	eret

/* ---- Fatal exceptions ---- */

trapped:
	mov	x0, #8				/* the vector that leads to from_below */
fatal_exception:				/* x0 = number of the vector */
	report_fatal	3, esr_el3, elr_el3, far_el3, spsr_el3
	b	park

	.macro	fatal_vector number
	.balign	0x80
	mov	x0, #\number
	b	fatal_exception
	.endm

	.balign	0x800
vectors:
	fatal_vector 0
	fatal_vector 1
	fatal_vector 2
	fatal_vector 3
	fatal_vector 4
	fatal_vector 5
	fatal_vector 6
	fatal_vector 7
	.balign	0x80
	b	from_below
	fatal_vector 9
	.balign	0x80				/* FIQ from a lower level: only the normal world's FIQs come here */
	stp	x16, x17, [sp, #CONTEXT_SCRATCH]
	b	secure_interrupt
	fatal_vector 11
	fatal_vector 12
	fatal_vector 13
	fatal_vector 14
	fatal_vector 15
	.balign	0x80
	.ltorg
