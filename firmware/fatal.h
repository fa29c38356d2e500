/*
 * A fatal exception, told to the host: its level, vector (0..15) and syndrome into this CPU's slot of the mailbox, and
 * a byte out of UART0. x0 = number of the vector. Nobody comes back from it, so no register is saved.
 */
	.macro	report_fatal level, esr, elr, far, spsr
	mrs	x1, mpidr_el1
	and	x1, x1, #0xff
	ldr	x2, =MAILBOX + MAILBOX_SLOTS + SLOT_FATAL
	add	x2, x2, x1, lsl #SLOT_SIZE_SHIFT
	mrs	x3, \esr
	mrs	x4, \elr
	mrs	x5, \far
	mrs	x6, \spsr
	stp	x3, x4, [x2, #(SLOT_FATAL_SYNDROME - SLOT_FATAL)]
	stp	x5, x6, [x2, #(SLOT_FATAL_SYNDROME - SLOT_FATAL + 16)]
	str	w0, [x2, #4]
	mov	w3, #\level
	stlr	w3, [x2]			/* the level last: it says that the rest is there */
	ldr	x2, =UART0
	str	w1, [x2]			/* UARTDR */
	.endm
