/*
 * Linux as the monitor's normal world at NS-EL1: the registers that a world switch saves and restores, and PSCI, with
 * which Linux starts its other CPUs. Linux is loaded at LINUX; its device tree is where QEMU put it.
 */
#include "layout.h"
#include "monitor.h"

#define LINUX			0x44000000

/* The normal world's part of a CPU's context. */
#define CONTEXT_NS_X		(CONTEXT_WORLD)		/* x0..x30 */
#define CONTEXT_NS_ELR		(CONTEXT_NS_X + 0xf8)
#define CONTEXT_NS_SPSR		(CONTEXT_NS_X + 0x100)
/* EL1 registers, which both worlds use. */
#define BANK_OPTEE		(CONTEXT_WORLD + 0x110)
#define BANK_LINUX		(CONTEXT_WORLD + 0x1d0)
#define BANK_SCTLR		0x10
/* From CPU_ON: the entry point of this CPU (0: it is off) and its x0; and whether it runs. */
#define ON_ENTRY		(CONTEXT_WORLD + 0x290)
#define ON_CONTEXT		(CONTEXT_WORLD + 0x298)
#define RUNS			(CONTEXT_WORLD + 0x2a0)

#define PSCI_VERSION		0x84000000
#define PSCI_NOT_SUPPORTED	-1
#define PSCI_INVALID		-2
#define PSCI_ALREADY_ON		-4

#define OPTEE_SMC_GET_THREAD_COUNT	0xb200000f

	.section .monitor, "ax"
	.global	world_prepare, world_may_start, world_start, world_call_done, world_interrupt_done, world_smc
	.global	world_secure_interrupt, world_ffa_done

	/* x8 = the bank */
	.macro	save_pair at, a, b
	mrs	x10, \a
	mrs	x11, \b
	stp	x10, x11, [x8, #\at]
	.endm

	.macro	load_pair at, a, b
	ldp	x10, x11, [x8, #\at]
	msr	\a, x10
	msr	\b, x11
	.endm

	.macro	each_pair what
	\what	0x00, sp_el0, sp_el1
	\what	0x10, sctlr_el1, tcr_el1
	\what	0x20, ttbr0_el1, ttbr1_el1
	\what	0x30, mair_el1, amair_el1
	\what	0x40, vbar_el1, cpacr_el1
	\what	0x50, elr_el1, spsr_el1
	\what	0x60, tpidr_el0, tpidrro_el0
	\what	0x70, tpidr_el1, contextidr_el1
	\what	0x80, esr_el1, far_el1
	\what	0x90, afsr0_el1, afsr1_el1
	\what	0xa0, par_el1, cntkctl_el1
	\what	0xb0, csselr_el1, csselr_el1
	.endm

	/* Uses x8, x10, x11. */
	.macro	switch_el1 from, to
	add	x8, sp, #\from
	each_pair save_pair
	add	x8, sp, #\to
	each_pair load_pair
	isb
	.endm

	.macro	each_x what
	\what	x0, x1, [sp, #CONTEXT_NS_X + 0x00]
	\what	x2, x3, [sp, #CONTEXT_NS_X + 0x10]
	each_x_but_results \what
	.endm

	.macro	each_x_but_results what
	\what	x4, x5, [sp, #CONTEXT_NS_X + 0x20]
	\what	x6, x7, [sp, #CONTEXT_NS_X + 0x30]
	\what	x8, x9, [sp, #CONTEXT_NS_X + 0x40]
	\what	x10, x11, [sp, #CONTEXT_NS_X + 0x50]
	\what	x12, x13, [sp, #CONTEXT_NS_X + 0x60]
	\what	x14, x15, [sp, #CONTEXT_NS_X + 0x70]
	\what	x16, x17, [sp, #CONTEXT_NS_X + 0x80]
	\what	x18, x19, [sp, #CONTEXT_NS_X + 0x90]
	\what	x20, x21, [sp, #CONTEXT_NS_X + 0xa0]
	\what	x22, x23, [sp, #CONTEXT_NS_X + 0xb0]
	\what	x24, x25, [sp, #CONTEXT_NS_X + 0xc0]
	\what	x26, x27, [sp, #CONTEXT_NS_X + 0xd0]
	\what	x28, x29, [sp, #CONTEXT_NS_X + 0xe0]
	.endm

	.macro	leave_linux
	ldp	x16, x17, [sp, #CONTEXT_SCRATCH]
	each_x	stp
	mrs	x16, elr_el3
	mrs	x17, spsr_el3
	stp	x30, x16, [sp, #CONTEXT_NS_X + 0xf0]
	str	x17, [sp, #CONTEXT_NS_SPSR]
	switch_el1 BANK_LINUX, BANK_OPTEE
	.endm

	/* The context of the CPU whose number is in \cpu. */
	.macro	context_of cpu, to
	ldr	\to, =SECURE_RAM
	add	\to, \to, \cpu, lsl #CONTEXT_SIZE_SHIFT
	.endm

world_prepare:
	ldr	x10, =SCTLR_EL1_COLD
	str	x10, [sp, #BANK_LINUX + BANK_SCTLR]
	cbnz	x19, 1f
	ldr	x10, =LINUX			/* arm64 boot protocol: x0 = device tree, x1..x3 = 0 */
	str	x10, [sp, #ON_ENTRY]
	mov	x10, #DEVICE_TREE
	str	x10, [sp, #ON_CONTEXT]
1:	ret

world_may_start:
	ldr	x0, [sp, #ON_ENTRY]
	ret

world_start:
	switch_el1 BANK_OPTEE, BANK_LINUX
	mov	x16, #1
	str	x16, [sp, #RUNS]
	ldr	x0, [sp, #ON_CONTEXT]
	mov	x1, #0
	mov	x2, #0
	mov	x3, #0
	ldr	x16, [sp, #ON_ENTRY]
	msr	elr_el3, x16
	mov	x16, #SPSR_EL1H
	msr	spsr_el3, x16
	mov	x16, #SCR_NORMAL
	msr	scr_el3, x16
	eret

world_secure_interrupt:
	leave_linux
	mrs	x0, elr_el3			/* the interrupted address, for OP-TEE */
	mov	x16, #VECTOR_FIQ
	b	enter_optee

world_interrupt_done:
	ldp	x0, x1, [sp, #CONTEXT_NS_X + 0x00]
	ldp	x2, x3, [sp, #CONTEXT_NS_X + 0x10]
	b	to_linux

world_call_done:
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4
to_linux:
	/* All registers except the results are restored, so that OP-TEE's values are not disclosed. */
	switch_el1 BANK_OPTEE, BANK_LINUX
	ldp	x30, x16, [sp, #CONTEXT_NS_X + 0xf0]
	ldr	x17, [sp, #CONTEXT_NS_SPSR]
	msr	elr_el3, x16
	msr	spsr_el3, x17
	mov	x16, #SCR_NORMAL
	msr	scr_el3, x16
	each_x_but_results ldp
	eret

	/* Linux may only use OP-TEE's own SMCs. */
world_ffa_done:
world_smc:
	ubfx	x16, x0, #24, #6
	cmp	x16, #TRUSTED_OS_FIRST_OWNER
	b.lo	psci
#ifdef HIDE_THREAD_COUNT
	ldr	w17, =OPTEE_SMC_GET_THREAD_COUNT
	cmp	w0, w17
	b.eq	unknown
#endif
	leave_linux
	ubfx	x16, x0, #31, #1		/* bit 31: a fast call */
	lsl	x16, x16, #2			/* VECTOR_YIELDING or VECTOR_FAST */
	b	enter_optee

	/*
	 * PSCI 1.0 (Arm DEN 0022), the functions that Linux needs. x16 and x17 are saved; the other registers are the
	 * caller's.
	 */
psci:
	mov	w17, #PSCI_VERSION
	cmp	w0, w17
	b.eq	psci_version
	bic	w16, w0, #0x40000000		/* SMC64 as SMC32 */
	sub	w16, w16, w17
	cmp	w16, #0x3
	b.eq	psci_cpu_on
	cmp	w16, #0x4
	b.eq	psci_affinity_info
	cmp	w16, #0x6
	b.eq	psci_migrate_info_type
	cmp	w16, #0xa
	b.eq	psci_features
	b	unknown
psci_version:
	mov	w0, #0x10000
	b	answered
psci_migrate_info_type:
	mov	x0, #2				/* the trusted OS needs no migration */
	b	answered
psci_features:
	mov	x0, #PSCI_NOT_SUPPORTED
	bic	w16, w1, #0x40000000
	sub	w16, w16, w17
	cmp	w16, #0xa
	b.hi	answered
	mov	w17, #0x459			/* functions 0, 3, 4, 6, 10 */
	lsr	w17, w17, w16
	tbz	w17, #0, answered
	mov	x0, #0
	b	answered
psci_affinity_info:
	and	x16, x1, #0xff
	mov	x0, #PSCI_INVALID
	cmp	x16, #CPU_COUNT
	b.hs	answered
	context_of x16, x17
	ldr	x17, [x17, #RUNS]
	eor	x0, x17, #1			/* 0 on, 1 off */
	b	answered
psci_cpu_on:
	and	x16, x1, #0xff
	mov	x0, #PSCI_INVALID
	cmp	x16, #CPU_COUNT
	b.hs	answered
	context_of x16, x17
	mov	x0, #PSCI_ALREADY_ON
	ldr	x16, [x17, #ON_ENTRY]
	cbnz	x16, answered
	str	x3, [x17, #ON_CONTEXT]
	str	x2, [x17, #ON_ENTRY]
	dsb	ish				/* the state set by CPU_ON must be visible before the interrupt */
	and	x16, x1, #0xff
	mov	x0, #1
	lsl	x0, x0, x16
	ldr	x16, =INTID_CPU_ON << 24
	orr	x0, x0, x16
	mov	x16, #SCR_SECURE		/* a secure SGI */
	msr	scr_el3, x16
	isb
	msr	s3_0_c12_c11_5, x0
	isb
	mov	x16, #SCR_NORMAL
	msr	scr_el3, x16
	isb
	mov	x0, #0
	b	answered
	.ltorg
