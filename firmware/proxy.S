/*
 * The proxy: the normal world's whole software, at NS-EL2 without MMU, caches or stack. On each CPU it waits for a call
 * in its slot of the mailbox, makes the SMC, and puts the results back.
 *
 * Interrupts stay masked. They end a WFI all the same, and are looked for while polling and when OP-TEE gave way to one.
 */
#include "layout.h"
#include "fatal.h"

#define RETURN_FOREIGN_INTERRUPT	0xffff0004	/* OPTEE_SMC_RETURN_RPC_FOREIGN_INTR */
#define ISR_IRQ				7		/* bit of ISR_EL1: an IRQ is pending */

/* Kept over the SMC, which preserves x4..x30. */
#define mailbox	x19
#define slot	x20
#define uart	x21
#define served	w22				/* number of the last call made */
#define cpu	x23

	.section .proxy, "ax"
proxy:						/* x0 = number of this CPU; once on each, after OP-TEE is up on it */
	mov	cpu, x0
	adr	x0, proxy_vectors
	msr	vbar_el2, x0
	mov	x0, #1 << 31			/* RW alone: no virtual machine, nothing trapped */
	msr	hcr_el2, x0
	ldr	mailbox, =MAILBOX
	add	slot, mailbox, #MAILBOX_SLOTS
	add	slot, slot, cpu, lsl #SLOT_SIZE_SHIFT
	ldr	uart, =UART0

	mov	x0, #0xff
	msr	s3_0_c4_c6_0, x0		/* ICC_PMR_EL1: every priority */
	mov	x0, #1
	msr	s3_0_c12_c12_7, x0		/* ICC_IGRPEN1_EL1 */
	isb
	ldr	x0, =GIC_REDISTRIBUTOR + 0x10000
	add	x0, x0, cpu, lsl #17
	mov	w1, #1 << INTID_WAKE
	str	w1, [x0, #0x100]		/* GICR_ISENABLER0 */
	cbnz	cpu, 1f

	/* The first CPU has the shared interrupts: affinity 0 is where GICD_IROUTER points to at reset. */
	ldr	x0, =GIC_DISTRIBUTOR
	mov	w1, #1 << (INTID_NOTIFICATION % 32)
	str	w1, [x0, #0x100 + 4 * (INTID_NOTIFICATION / 32)]	/* GICD_ISENABLER */
	mov	w1, #1 << (INTID_UART0 % 32)
	str	w1, [x0, #0x100 + 4 * (INTID_UART0 / 32)]
	mov	w1, #0x70
	str	w1, [uart, #0x2c]		/* UARTLCR_H: 8 bits, FIFO on */
	mov	w1, #0x301
	str	w1, [uart, #0x30]		/* UARTCR: on, transmit, receive */
	mov	w1, #1 << 4
	str	w1, [uart, #0x38]		/* UARTIMSC: receive interrupt */

1:	mov	served, #0
	mov	w0, #CPU_AWAKE
	add	x1, slot, #SLOT_STATE
	stlr	w0, [x1]
	b	ring				/* this CPU is there */

poll:
	ldr	w24, [mailbox, #MAILBOX_POLLS]
1:	ldar	w0, [slot]			/* SLOT_DOORBELL */
	cmp	w0, served
	b.ne	call
	mrs	x1, isr_el1
	tbnz	x1, #ISR_IRQ, 2f
	cbz	w24, sleep
	sub	w24, w24, #1
	b	1b
2:	bl	take_interrupts
	b	1b

sleep:
	/* Say so first, look once more, then sleep: the host rings the doorbell first, then looks who sleeps. */
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
	/* The bell first, if it woke us: OP-TEE would give way to it at once. */
	mrs	x1, isr_el1
	tbz	x1, #ISR_IRQ, 1f
	bl	take_interrupts
1:	ldr	served, [slot]			/* SLOT_DOORBELL */
	ldp	w0, w1, [slot, #SLOT_ARGUMENTS]
	ldp	w2, w3, [slot, #SLOT_ARGUMENTS + 8]
	ldp	w4, w5, [slot, #SLOT_ARGUMENTS + 16]
	ldp	w6, w7, [slot, #SLOT_ARGUMENTS + 24]
	smc	#0
	stp	w0, w1, [slot, #SLOT_RESULTS]
	stp	w2, w3, [slot, #SLOT_RESULTS + 8]
	stp	w4, w5, [slot, #SLOT_RESULTS + 16]
	stp	w6, w7, [slot, #SLOT_RESULTS + 24]
	/* Serve the interrupt that OP-TEE gave way to before it is resumed, or it would only give way again. */
	ldr	w1, =RETURN_FOREIGN_INTERRUPT
	cmp	w0, w1
	b.ne	1f
	bl	take_interrupts
1:	add	x1, slot, #SLOT_DONE
	stlr	served, [x1]
	/* Done first, then look whether the host sleeps: it says so first, then looks what is done. */
	dmb	ish
	ldr	w0, [mailbox, #MAILBOX_HOST_SLEEPS]
	cbz	w0, poll
ring:
	str	w23, [uart]			/* UARTDR; which byte does not matter */
	b	poll

take_interrupts:				/* uses x0..x3 */
	mrs	x0, s3_0_c12_c12_0		/* ICC_IAR1_EL1 */
	cmp	x0, #INTID_SPECIAL
	b.hs	4f
	cmp	x0, #INTID_NOTIFICATION
	b.eq	3f
	cmp	x0, #INTID_UART0
	b.ne	2f
1:	ldr	w1, [uart, #0x18]		/* UARTFR */
	tbnz	w1, #4, 2f			/* RXFE: all read */
	ldr	w1, [uart]			/* a byte: the number of the CPU to wake */
	and	x1, x1, #CPU_COUNT - 1
	cmp	x1, cpu
	b.eq	1b
	mov	x2, #1
	lsl	x2, x2, x1
	msr	s3_0_c12_c11_5, x2		/* ICC_SGI1R_EL1: INTID_WAKE to that CPU */
	b	1b
2:	msr	s3_0_c12_c12_1, x0		/* ICC_EOIR1_EL1 */
	b	take_interrupts
3:	ldr	w1, [mailbox, #MAILBOX_NOTIFICATIONS]	/* only the first CPU writes it */
	add	w1, w1, #1
	str	w1, [mailbox, #MAILBOX_NOTIFICATIONS]
	dmb	ish
	str	w23, [uart]
	b	2b
4:	ret

fatal_exception:				/* x0 = number of the vector */
	report_fatal	2, esr_el2, elr_el2, far_el2, spsr_el2
1:	wfi
	b	1b

	.balign	0x800
proxy_vectors:
	.set	vector, 0
	.rept	16
	.balign	0x80
	mov	x0, #vector
	b	fatal_exception
	.set	vector, vector + 1
	.endr
	.balign	0x80
	.ltorg
	.balign	16
