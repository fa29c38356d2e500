/*
 * What the monitor has to do for Linux as its normal world: switch the EL1 registers, which both use, and PSCI, by which
 * Linux starts its other CPUs. Linux lies at LINUX, its device tree where QEMU put it.
 */
#define LINUX			0x44000000

/* EL1 registers of both worlds, and what CPU_ON said, a CPU each, behind the monitor's own data. */
#define BANKS			(SECURE_RAM + 0x2000)
#define BANK_SIZE_SHIFT		9
#define BANK_OPTEE		0x000
#define BANK_LINUX		0x0c0
#define BANK_SCTLR		0x10
#define BANK_ENTRY		0x180		/* where CPU_ON wants the CPU; 0: off */
#define BANK_CONTEXT		0x188		/* x0 there */
#define BANK_ON			0x190		/* it runs */

#define PSCI_NOT_SUPPORTED	-1
#define PSCI_INVALID		-2
#define PSCI_ALREADY_ON		-4

	.macro	bank_of cpu, to
	ldr	\to, =BANKS
	add	\to, \to, \cpu, lsl #BANK_SIZE_SHIFT
	.endm

	.macro	this_bank to, scratch
	mrs	\scratch, mpidr_el1
	and	\scratch, \scratch, #0xff
	bank_of	\scratch, \to
	.endm

	.macro	save_pair bank, at, a, b
	mrs	x10, \a
	mrs	x11, \b
	stp	x10, x11, [x8, #\bank + \at]
	.endm

	.macro	load_pair bank, at, a, b
	ldp	x10, x11, [x8, #\bank + \at]
	msr	\a, x10
	msr	\b, x11
	.endm

	.macro	each_pair what, bank
	\what	\bank, 0x00, sp_el0, sp_el1
	\what	\bank, 0x10, sctlr_el1, tcr_el1
	\what	\bank, 0x20, ttbr0_el1, ttbr1_el1
	\what	\bank, 0x30, mair_el1, amair_el1
	\what	\bank, 0x40, vbar_el1, cpacr_el1
	\what	\bank, 0x50, elr_el1, spsr_el1
	\what	\bank, 0x60, tpidr_el0, tpidrro_el0
	\what	\bank, 0x70, tpidr_el1, contextidr_el1
	\what	\bank, 0x80, esr_el1, far_el1
	\what	\bank, 0x90, afsr0_el1, afsr1_el1
	\what	\bank, 0xa0, par_el1, cntkctl_el1
	\what	\bank, 0xb0, csselr_el1, csselr_el1
	.endm

	.macro	prepare_normal_world
	bank_of	x19, x8
	mov	x10, #SCTLR_EL1_COLD & 0xffff
	movk	x10, #SCTLR_EL1_COLD >> 16, lsl #16
	str	x10, [x8, #BANK_LINUX + BANK_SCTLR]
	mov	x10, #1
	cbnz	x19, 9f
	str	x10, [x8, #BANK_ON]
9:
	.endm

	.macro	unless_started again
	bank_of	x19, x8
	ldr	x10, [x8, #BANK_ENTRY]
	cbz	x10, \again
	.endm

	.macro	switch_to_optee
	this_bank x8, x10
	each_pair save_pair, BANK_LINUX
	each_pair load_pair, BANK_OPTEE
	isb
	.endm

	.macro	switch_to_normal_world
	this_bank x8, x10
	each_pair save_pair, BANK_OPTEE
	each_pair load_pair, BANK_LINUX
	isb
	.endm

	.macro	start_normal_world
	bank_of	x0, x8
	mov	x10, #1
	str	x10, [x8, #BANK_ON]
	ldp	x16, x11, [x8, #BANK_ENTRY]
	cbnz	x0, 9f
	ldr	x16, =LINUX			/* arm64 boot protocol: x0 = device tree, x1..x3 = 0 */
	mov	x11, #DEVICE_TREE
9:	mov	x0, x11
	mov	x1, #0
	mov	x2, #0
	mov	x3, #0
	msr	elr_el3, x16
	mov	x16, #SPSR_EL1H
	msr	spsr_el3, x16
	.endm

	/* PSCI 1.0 (Arm DEN 0022), as much of it as Linux needs. x16 and x17 are saved; the rest is the caller's. */
	.macro	serve_normal_world
	mov	w17, #0x84000000		/* PSCI_VERSION */
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
	bank_of	x16, x17
	ldr	x17, [x17, #BANK_ON]
	eor	x0, x17, #1			/* 0 on, 1 off */
	b	answered
psci_cpu_on:
	and	x16, x1, #0xff
	mov	x0, #PSCI_INVALID
	cmp	x16, #CPU_COUNT
	b.hs	answered
	bank_of	x16, x17
	mov	x0, #PSCI_ALREADY_ON
	ldr	x16, [x17, #BANK_ENTRY]
	cbnz	x16, answered
	stp	x2, x3, [x17, #BANK_ENTRY]
	dsb	ish				/* what CPU_ON said before the interrupt that says so */
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
	.endm
