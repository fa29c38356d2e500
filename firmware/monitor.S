/*
 * The EL3 monitor: boots OP-TEE at S-EL1 on every CPU, enters it, and handles its returns.
 *
 * The interface to OP-TEE is that of TF-A's dispatcher (opteed): core/arch/arm/include/sm/optee_smc.h and
 * teesmc_opteed.h of OP-TEE/optee_os.
 */
#include "layout.h"
#include "monitor.h"

#define SCTLR_EL3_VALUE		0x30c51830	/* MMU off; RES1 bits */

#define OPTEED_ENTRY_DONE	0x0000		/* 0xbe000000: booted; x1 = vector table */
#define OPTEED_ON_DONE		0x0001
#define OPTEED_CALL_DONE	0x0005		/* x1..x4 are the caller's x0..x3 */
#define OPTEED_FIQ_DONE		0x0006
/*
 * The monitor's own function in this range: an exception at S-EL1 before OP-TEE has installed vectors; x1 = number of
 * the vector.
 */
#define EARLY_EXCEPTION		0x00ff
#define EC_SMC64		0x17

	.section .monitor, "ax"
	.global	_start, enter_optee, fatal_exception, tell_exception, unknown, answered, started, first_started
_start:
	ldr	x0, =SCTLR_EL3_VALUE
	msr	sctlr_el3, x0
	msr	cptr_el3, xzr			/* do not trap floating point: OP-TEE saves it lazily */
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

	/*
	 * This CPU's redistributor: wake it; SGIs 8..15 are secure group 1, the other INTIDs of 0..31 belong to the normal
	 * world.
	 */
	ldr	x0, =GIC_REDISTRIBUTOR
	add	x0, x0, x19, lsl #17
	ldr	w1, [x0, #0x14]			/* GICR_WAKER */
	bic	w1, w1, #2			/* ProcessorSleep: no interrupts are delivered while it is set */
	str	w1, [x0, #0x14]
	add	x0, x0, #0x10000
	mov	w1, #0xffff00ff
	str	w1, [x0, #0x80]			/* GICR_IGROUPR0 */
	mov	w1, #0xff00
	str	w1, [x0, #0xd00]		/* GICR_IGRPMODR0: group 1 secure rather than group 0 */
	str	w1, [x0, #0x100]		/* GICR_ISENABLER0 */

	/* The CPU interface: system registers at every level and in both worlds, all priorities, all groups. */
	mov	x0, #0xf
	msr	s3_6_c12_c12_5, x0		/* ICC_SRE_EL3 */
	isb
	mov	x0, #7
	msr	s3_0_c12_c12_5, x0		/* ICC_SRE_EL1, secure */
	mov	x1, #SCR_NORMAL
	msr	scr_el3, x1
	isb
	msr	s3_0_c12_c12_5, x0		/* ICC_SRE_EL1, non-secure */
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

	ldr	x0, =SCTLR_EL1_COLD
	msr	sctlr_el1, x0
	bl	world_prepare
	cbnz	x19, later_cpu

first_cpu:
	/*
	 * The distributor: enable affinity routing first; all shared interrupts belong to the normal world; enable all groups.
	 */
	ldr	x0, =GIC_DISTRIBUTOR
	mov	w1, #0x30
	str	w1, [x0]			/* GICD_CTLR: ARE_S, ARE_NS */
	mov	w2, #-1
	ldr	w3, =0xa0a0a0a0
	mov	x4, #1				/* word 0 of each belongs to the redistributors */
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

	/* Copy OP-TEE from where the host puts it. The host may not have finished yet. The size is a multiple of 16. */
	ldr	x0, =OPTEE_STAGING
	ldr	x1, =OPTEE
	msr	elr_el3, x1
	ldr	x3, =MAILBOX + MAILBOX_OPTEE_SIZE
3:	ldar	w2, [x3]
	cbz	w2, 3b
4:	ldp	x3, x4, [x0], #16
	stp	x3, x4, [x1], #16
	subs	x2, x2, #16
	b.hi	4b

	/* Copy the pageable part to an address that the image does not reach: x20 = its address, 0 if there is none. */
	mov	x20, #0
	ldr	x3, =MAILBOX + MAILBOX_PAGEABLE_SIZE
	ldr	w2, [x3]
	cbz	w2, 6f
	ldr	x0, =PAGEABLE_STAGING
	ldr	x20, =PAGEABLE
	mov	x1, x20
5:	ldp	x3, x4, [x0], #16
	stp	x3, x4, [x1], #16
	subs	x2, x2, #16
	b.hi	5b
6:
	/*
	 * From the device tree OP-TEE learns which RAM may be shared dynamically. The tree's header claims 1 MiB, which OP-TEE
	 * would copy byte by byte although most of it is unused, so set its size to the used part. The strings block is last,
	 * as in every tree packed by libfdt (fdt_pack()). Numbers are big-endian.
	 */
	mov	x2, #DEVICE_TREE
	ldr	w3, [x2, #0x0c]			/* off_dt_strings */
	ldr	w4, [x2, #0x20]			/* size_dt_strings */
	rev	w3, w3
	rev	w4, w4
	add	w3, w3, w4
	rev	w3, w3
	str	w3, [x2, #0x04]			/* totalsize */
	b	cold_entry

later_cpu:
	/* Sleep until OP-TEE has booted on the first CPU, then enter it at its entry point for secondary CPUs. */
	wfi
	mrs	x0, s3_0_c12_c12_0		/* ICC_IAR1_EL1 */
	cmp	x0, #INTID_SPECIAL
	b.hs	1f
	msr	s3_0_c12_c12_1, x0		/* ICC_EOIR1_EL1 */
1:	bl	world_may_start
	cbz	x0, later_cpu
	ldr	x1, =LATER_ENTRY
	ldr	x0, [x1]
	cbz	x0, later_cpu
	msr	elr_el3, x0
	mov	x2, #0
	mov	x20, #0

cold_entry:
	/* Until OP-TEE has installed its own vectors, report exceptions, because the loaded image may be anything. */
	adr	x0, early_vectors
	msr	vbar_el1, x0
	mov	x0, #SPSR_EL1H
	msr	spsr_el3, x0
	mov	x0, x20				/* the pageable part */
	mov	x1, #0
	mov	x3, #0
	eret

park:	wfi
	b	park

enter_optee:
	ldr	x17, =VECTORS
	ldr	x17, [x17]
	cbz	x17, no_vectors
	add	x16, x16, x17
	msr	elr_el3, x16
	ldr	x17, [sp, #CONTEXT_S_SPSR]
	msr	spsr_el3, x17
	mov	x17, #SCR_SECURE
	msr	scr_el3, x17
	eret

no_vectors:
	/* OP-TEE uses FF-A. */
	cmp	x16, #VECTOR_FIQ
	b.eq	spmd_interrupt
	mov	x1, #-1				/* SMCCC: unknown function */
	b	world_call_done

from_below:
	stp	x16, x17, [sp, #CONTEXT_SCRATCH]
	mrs	x16, esr_el3
	lsr	x16, x16, #26
	cmp	x16, #EC_SMC64
	b.ne	trapped
	mrs	x16, scr_el3
	tbnz	x16, #0, world_smc

	lsr	w16, w0, #16
	mov	w17, #0xbe00			/* fast call, SMC32, owner 62: the dispatcher's own */
	cmp	w16, w17
	b.ne	service
	mrs	x16, spsr_el3
	str	x16, [sp, #CONTEXT_S_SPSR]
	and	w16, w0, #0xffff
	cmp	w16, #OPTEED_CALL_DONE
	b.eq	world_call_done
	cmp	w16, #OPTEED_FIQ_DONE
	b.eq	world_interrupt_done
	cmp	w16, #OPTEED_ON_DONE
	b.eq	started
	cmp	w16, #EARLY_EXCEPTION
	b.eq	early_exception
	cmp	w16, #OPTEED_ENTRY_DONE
	b.ne	unknown

	ldr	x16, =VECTORS			/* set once, by the first CPU */
	str	x1, [x16]
	add	x1, x1, #VECTOR_CPU_ON
first_started:					/* x1 = where later CPUs enter */
	ldr	x16, =LATER_ENTRY
	str	x1, [x16]
	dsb	ish				/* the entry point must be visible before the interrupt */
	ldr	x16, =(INTID_CPU_ON << 24) | ((1 << CPU_COUNT) - 2)
	msr	s3_0_c12_c11_5, x16		/* ICC_SGI1R_EL1: all CPUs but the first */
	isb
started:
	mrs	x0, mpidr_el1
	and	x0, x0, #0xff
	b	world_start

service:
	is_ffa	w16, w17
	b.lo	spmd_secure
	/* OP-TEE queries the SMCCC version at boot, and stops if there is no answer. */
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

trapped:
	mov	x0, #8				/* the vector of from_below */
fatal_exception:
	mrs	x3, esr_el3
	mrs	x4, elr_el3
	mrs	x5, far_el3
	mrs	x6, spsr_el3
tell_exception:					/* x0 = number of the vector, x3..x6 = the registers to report */
	/* Report the exception to the host: write it to this CPU's slot of the mailbox, and ring. The CPU then stops. */
	mrs	x1, mpidr_el1
	and	x1, x1, #0xff
	ldr	x2, =MAILBOX + MAILBOX_SLOTS + SLOT_FATAL
	add	x2, x2, x1, lsl #SLOT_SIZE_SHIFT
	stp	x3, x4, [x2, #(SLOT_FATAL_SYNDROME - SLOT_FATAL)]
	stp	x5, x6, [x2, #(SLOT_FATAL_SYNDROME - SLOT_FATAL + 16)]
	str	w0, [x2, #4]
	mov	w3, #1
	stlr	w3, [x2]			/* last: it marks the rest as valid */
	ldr	x2, =UART0
	mov	w3, #0x301			/* the normal world may not have set up the UART yet */
	str	w3, [x2, #0x30]			/* UARTCR: on, transmit, receive */
	str	w1, [x2]			/* UARTDR */
	b	park

early_exception:
	and	x0, x1, #0xf
	add	x0, x0, #EARLY_VECTORS
	mrs	x3, esr_el1
	mrs	x4, elr_el1
	mrs	x5, far_el1
	mrs	x6, spsr_el1
	b	tell_exception

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
	.balign	0x80				/* FIQ from a lower level: only with SCR_EL3.FIQ, in the normal world */
	stp	x16, x17, [sp, #CONTEXT_SCRATCH]
	b	world_secure_interrupt
	fatal_vector 11
	fatal_vector 12
	fatal_vector 13
	fatal_vector 14
	fatal_vector 15

	/* Vectors for S-EL1, in the flash, because the MMU is off. */
	.macro	early_vector number
	.balign	0x80
	mov	x1, #\number
	mov	w0, #0xbe000000
	movk	w0, #EARLY_EXCEPTION
	smc	#0
	.endm

	.balign	0x800
early_vectors:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	early_vector \number
	.endr
	.balign	0x80
	.ltorg
