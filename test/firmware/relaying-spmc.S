/*
 * A partition manager at S-EL1 for tests of the dispatcher: it makes the SMC that a direct request asks for in w3..w6, as its
 * w0..w3, and answers with what came back: w0..w3 in w3..w6, and in w7 whether its other registers were left alone.
 */
	.text
	.global	_start
_start:
	/* Where later CPUs shall enter: here as well. */
	movz	w0, #0x0087
	movk	w0, #0xc400, lsl #16
	adr	x1, _start
	smc	#0
	mov	w19, w0
wait:
	movz	w0, #FIRST_WORD_LOW
	movk	w0, #0x8400, lsl #16
	mov	x1, #0
	mov	w2, #-3			/* FFA_NO_MEMORY, where the first word is FFA_ERROR */
	smc	#0
request:
	mov	w20, w1
	tbnz	w2, #31, framework
	mov	w0, w3
	mov	w1, w4
	mov	w2, w5
	mov	w3, w6
	mov	x4, #0
	mov	x5, #0
	mov	x6, #0
	mov	x7, #0
	movz	x8, #0x8888
	movz	x16, #0x1616
	movz	x17, #0x1717
	smc	#0
	mov	w7, #0
	movz	x9, #0x8888
	movz	x10, #0x1616
	movz	x11, #0x1717
	cmp	x8, x9
	ccmp	x16, x10, #0, eq
	ccmp	x17, x11, #0, eq
	cset	w7, eq
	mov	w6, w3
	mov	w5, w2
	mov	w4, w1
	mov	w3, w0
	mov	w2, #0
respond:
	ror	w1, w20, #16
	movz	w0, #0x0070
	movk	w0, #0x8400, lsl #16
	smc	#0
	b	request

	/* The version: as much of 1 as is asked for, 1.2 at most. */
framework:
	movz	w2, #VERSION_RESPONSE
	movk	w2, #0x8000, lsl #16
	movz	w9, #2
	movk	w9, #1, lsl #16
	cmp	w3, w9
	csel	w3, w3, w9, lo
	b	respond

	/* No OP-TEE is smaller. */
	.space	0x10000
