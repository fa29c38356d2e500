/*
 * The normal world's software. On each CPU it waits for a call in the CPU's slot of the mailbox, makes it, and stores
 * the results.
 *
 * It runs at EL3. OP-TEE cannot distinguish this, because the monitor enters it in any case. It also avoids changes of
 * SCR_EL3.NS, at which QEMU flushes its TLB; that would cost more than most calls.
 *
 * All interrupts are FIQs to EL3 and stay masked. A pending interrupt still ends WFI; pending interrupts are also
 * checked while polling, before a call, and when OP-TEE returned because of one.
 */
#include "layout.h"
#include "monitor.h"

#define RETURN_FOREIGN_INTERRUPT	0xffff0004	/* OPTEE_SMC_RETURN_RPC_FOREIGN_INTR */
#define ISR_FIQ				6		/* bit of ISR_EL1: an FIQ is pending */

#define CONTEXT_SERVED		(CONTEXT_WORLD + 0)	/* number of the last call made */
#define CONTEXT_DONATED		(CONTEXT_WORLD + 4)	/* SGIs that OP-TEE assigned to the normal world, one bit each */

/* Reloaded after each return from OP-TEE. */
#define slot	x19
#define mailbox	x20
#define uart	x21
#define cpu	x22
#define served	w23

	.section .monitor, "ax"
	.global	world_prepare, world_may_start, world_start, world_call_done, world_ffa_done, world_interrupt_done
	.global	world_smc, world_secure_interrupt

	.macro	load_registers
	mrs	cpu, mpidr_el1
	and	cpu, cpu, #0xff
	ldr	mailbox, =MAILBOX
	add	slot, mailbox, #MAILBOX_SLOTS
	add	slot, slot, cpu, lsl #SLOT_SIZE_SHIFT
	ldr	uart, =UART0
	ldr	served, [sp, #CONTEXT_SERVED]
	.endm

	.macro	count_notification		/* uses w1 */
	ldr	w1, [slot, #SLOT_NOTIFICATIONS]
	add	w1, w1, #1
	str	w1, [slot, #SLOT_NOTIFICATIONS]
	dmb	ish
	str	w22, [uart]
	.endm

world_may_start:
	mov	x0, #1				/* all CPUs start at reset */
world_prepare:
	ret

world_start:
	load_registers
	ldr	x0, =GIC_REDISTRIBUTOR + 0x10000
	add	x0, x0, cpu, lsl #17
	/* OP-TEE moves the SGIs with which it notifies from the monitor's secure ones to the normal world: over FF-A, one. */
	ldr	w1, [x0, #0x80]			/* GICR_IGROUPR0 */
	and	w1, w1, #0xff00
	str	w1, [sp, #CONTEXT_DONATED]
	orr	w1, w1, #1 << INTID_WAKE
	str	w1, [x0, #0x100]		/* GICR_ISENABLER0 */
	cbnz	cpu, 1f

	/* The first CPU handles the shared interrupts, because GICD_IROUTER selects affinity 0 at reset. */
	ldr	x0, =GIC_DISTRIBUTOR
	mov	w1, #1 << (INTID_NOTIFICATION % 32)
	str	w1, [x0, #0x100 + 4 * (INTID_NOTIFICATION / 32)]	/* GICD_ISENABLER */
	mov	w1, #1 << (INTID_UART0 % 32)
	str	w1, [x0, #0x100 + 4 * (INTID_UART0 / 32)]
	ldr	x0, =VECTORS
	ldr	x0, [x0]
	cmp	x0, #0
	mov	w1, #ABI_SMC
	mov	w2, #ABI_FFA
	csel	w1, w1, w2, ne
	str	w1, [mailbox, #MAILBOX_ABI]
	mov	w1, #0x70
	str	w1, [uart, #0x2c]		/* UARTLCR_H: 8 bits, FIFO on */
	mov	w1, #0x301
	str	w1, [uart, #0x30]		/* UARTCR: on, transmit, receive */
	mov	w1, #1 << 4
	str	w1, [uart, #0x38]		/* UARTIMSC: receive interrupt */

1:	mov	w0, #CPU_AWAKE
	add	x1, slot, #SLOT_STATE
	stlr	w0, [x1]
	b	ring				/* announce this CPU */

world_interrupt_done:
	load_registers
poll:
	ldr	w24, [mailbox, #MAILBOX_POLLS]
1:	mrs	x1, isr_el1
	tbnz	x1, #ISR_FIQ, interrupted
	ldar	w0, [slot]			/* SLOT_DOORBELL */
	cmp	w0, served
	b.ne	call
	cbz	w24, sleep
	sub	w24, w24, #1
	b	1b

interrupted:
	bl	take_interrupts
	/* If an interrupt is still pending, it is OP-TEE's. */
	mrs	x1, isr_el1
	tbz	x1, #ISR_FIQ, poll
	mov	x16, #VECTOR_FIQ
	mov	x0, #0				/* interrupted address of the normal world: none */
	b	enter_optee

sleep:
	/* Announce the sleep, check again, then sleep: the host rings the doorbell first and then checks which CPUs sleep. */
	mov	w0, #CPU_SLEEPING
	add	x1, slot, #SLOT_STATE
	stlr	w0, [x1]
	dmb	ish
	ldr	w0, [slot]			/* SLOT_DOORBELL */
	cmp	w0, served
	b.ne	1f
	dsb	sy
	wfi
1:	mov	w0, #CPU_AWAKE
	add	x1, slot, #SLOT_STATE
	stlr	w0, [x1]
	b	poll

call:
	str	w0, [sp, #CONTEXT_SERVED]
	ldp	w0, w1, [slot, #SLOT_ARGUMENTS]
	ldp	w2, w3, [slot, #SLOT_ARGUMENTS + 8]
	ldp	w4, w5, [slot, #SLOT_ARGUMENTS + 16]
	ldp	w6, w7, [slot, #SLOT_ARGUMENTS + 24]
	/* Only the range of trusted operating systems and FF-A are passed to OP-TEE; PSCI and other services are not. */
	ubfx	w16, w0, #24, #6
	cmp	w16, #TRUSTED_OS_FIRST_OWNER
	b.lo	2f
	ubfx	w16, w0, #31, #1		/* bit 31: a fast call */
	lsl	w16, w16, #2			/* VECTOR_YIELDING or VECTOR_FAST */
	b	enter_optee
2:	is_ffa	w16, w17
	b.lo	spmd_call
	mov	w1, #-1				/* SMCCC: unknown function */

world_call_done:
	load_registers
	stp	w1, w2, [slot, #SLOT_RESULTS]
	stp	w3, w4, [slot, #SLOT_RESULTS + 8]
	stp	wzr, wzr, [slot, #SLOT_RESULTS + 16]
	stp	wzr, wzr, [slot, #SLOT_RESULTS + 24]
	/* Handle the interrupt for which OP-TEE returned before it is resumed; otherwise it would return again at once. */
	ldr	w2, =RETURN_FOREIGN_INTERRUPT
	cmp	w1, w2
	b.ne	done
	bl	take_interrupts
done:	add	x1, slot, #SLOT_DONE
	stlr	served, [x1]
	/*
	 * Store SLOT_DONE first, then check whether the host sleeps: the host announces its sleep first and then checks
	 * SLOT_DONE.
	 */
	dmb	ish
	ldr	w0, [mailbox, #MAILBOX_HOST_SLEEPS]
	cbz	w0, poll
ring:
	str	w22, [uart]			/* UARTDR; the value is ignored */
	b	poll

world_ffa_done:
	load_registers
	stp	w0, w1, [slot, #SLOT_RESULTS]
	stp	w2, w3, [slot, #SLOT_RESULTS + 8]
	stp	w4, w5, [slot, #SLOT_RESULTS + 16]
	stp	w6, w7, [slot, #SLOT_RESULTS + 24]
	/* The same here. A return because of an interrupt has several encodings, so check for a pending interrupt instead. */
	mrs	x1, isr_el1
	tbz	x1, #ISR_FIQ, done
	bl	take_interrupts
	b	done

take_interrupts:				/* of the normal world; uses x0..x2 */
	/*
	 * No interrupt is acknowledged, because an acknowledge at EL3 could return OP-TEE's interrupts as well. Clearing the
	 * cause ends an interrupt of the normal world; OP-TEE's stay pending.
	 */
	ldr	x0, =GIC_REDISTRIBUTOR + 0x10000
	add	x0, x0, cpu, lsl #17
	ldr	w1, [sp, #CONTEXT_DONATED]
	cbz	w1, 1f
	ldr	w2, [x0, #0x200]		/* GICR_ISPENDR0 */
	and	w1, w1, w2
	cbz	w1, 1f
	str	w1, [x0, #0x280]		/* GICR_ICPENDR0 */
	count_notification
1:	mov	w1, #1 << INTID_WAKE
	str	w1, [x0, #0x280]		/* GICR_ICPENDR0 */
	cbnz	cpu, 3f
1:	ldr	w1, [uart, #0x18]		/* UARTFR */
	tbnz	w1, #4, 2f			/* RXFE: all read */
	ldr	w1, [uart]			/* a byte: the number of the CPU to wake */
	and	x1, x1, #CPU_COUNT - 1
	cbz	x1, 1b
	mov	x2, #1
	lsl	x2, x2, x1
	msr	s3_0_c12_c11_6, x2		/* ICC_ASGI1R_EL1: the normal world's SGI INTID_WAKE to that CPU */
	b	1b
2:	ldr	x0, =GIC_DISTRIBUTOR
	ldr	w1, [x0, #0x200 + 4 * (INTID_NOTIFICATION / 32)]	/* GICD_ISPENDR */
	tbz	w1, #(INTID_NOTIFICATION % 32), 3f
	mov	w1, #1 << (INTID_NOTIFICATION % 32)
	str	w1, [x0, #0x280 + 4 * (INTID_NOTIFICATION / 32)]	/* GICD_ICPENDR */
	count_notification
3:	ret

	/* Never reached: nothing runs below EL3 with SCR_EL3.NS set. */
world_smc:
	mov	x0, #8
	b	fatal_exception
world_secure_interrupt:
	mov	x0, #10
	b	fatal_exception
	.ltorg
