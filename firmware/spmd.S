/*
 * The secure partition manager dispatcher (SPMD) at EL3, for an OP-TEE that is its own secure partition manager at
 * S-EL1 (CFG_CORE_SEL1_SPMC). It answers calls that concern the dispatcher, rejects calls that the caller may not make,
 * and forwards all others to the other world.
 *
 * Sources: FF-A specification 1.2 (Arm DEN 0077A); for OP-TEE's requirements core/arch/arm/kernel/thread_spmc*.
 *
 * An image is of this kind if it calls FFA_MSG_WAIT where others report their boot to TF-A's dispatcher for OP-TEE.
 * From then on it is never entered at a vector; it always continues behind its last SMC.
 */
#include "layout.h"
#include "monitor.h"

/* Function numbers: bits 7:0 of a function id. */
#define FFA_FIRST		0x60
#define FFA_LAST		0x8e

#define FFA_ERROR		0x84000060
#define FFA_SUCCESS		0x84000061
#define FFA_INTERRUPT		0x84000062
#define FFA_DIRECT_REQUEST	0x8400006f
#define FFA_DIRECT_RESPONSE	0x84000070

#define NOT_SUPPORTED		-1
#define INVALID_PARAMETERS	-2
#define DENIED			-6

#define VERSION_1_2		0x10002

/* Endpoint ids. Bit 15 marks endpoints in secure world. */
#define NORMAL_WORLD		0
#define SPMC			0x8000
#define SPMD			0xffff
#define SECURE_BIT		15

/* Framework messages, w2 of a direct message. */
#define VERSION_REQUEST		0x80000008
#define VERSION_RESPONSE	0x80000009

#define OPTEE_END		(OPTEE + 0xf00000)

	.section .monitor, "ax"
	.global	spmd_call, spmd_interrupt, spmd_secure

	/* From OP-TEE: continue behind its SMC; all its registers except x0..x7 keep their values. */
	.macro	return_to_optee
	b	answered
	.endm

	.macro	mov32 register, value
	movz	\register, #((\value) & 0xffff)
	movk	\register, #(((\value) >> 16) & 0xffff), lsl #16
	.endm

	/* x3..x7 of an answer must be zero (MBZ). */
	.macro	no_parameters
	mov	x3, #0
	mov	x4, #0
	mov	x5, #0
	mov	x6, #0
	mov	x7, #0
	.endm

	.macro	success value
	mov32	w0, FFA_SUCCESS
	mov	x1, #0
	mov	w2, #\value
	no_parameters
	.endm

	.macro	error code
	mov32	w0, FFA_ERROR
	mov	x1, #0
	mov	w2, #\code
	no_parameters
	.endm

	/* x16 = the table entry for the function in w0; branches to \otherwise if there is none. Uses x17. */
	.macro	find_function otherwise
	and	w16, w0, #0xff
	sub	w16, w16, #FFA_FIRST
	cmp	w16, #(FFA_LAST - FFA_FIRST)
	b.hi	\otherwise
	adr	x17, functions
	add	x16, x17, w16, uxtw #3
	ubfx	w17, w0, #30, #1		/* 1: SMC64 */
	add	w17, w17, #1			/* SMC32 or SMC64, as a bit of the entry */
	.endm

	.macro	go_to_handler at, otherwise
	ldrb	w8, [x16]
	tst	w8, w17
	b.eq	\otherwise
	ldrh	w16, [x16, #\at]
	adr	x17, handlers
	add	x16, x17, x16
	br	x16
	.endm

	.macro	save_optee state
	mrs	x16, elr_el3
	mrs	x17, spsr_el3
	str	x16, [sp, #CONTEXT_S_ELR]
	str	x17, [sp, #CONTEXT_S_SPSR]
	mov	w16, #\state
	str	w16, [sp, #CONTEXT_SPMD]
	.endm

handlers:

/* ---- Calls of the normal world: x0..x7 are its registers, all others may be used. ---- */

spmd_call:
	ldr	x16, =VECTORS
	ldr	x16, [x16]
	cbnz	x16, unknown_function		/* this OP-TEE uses TF-A's dispatcher, not FF-A */
	find_function normal_unsupported
	go_to_handler 2, normal_unsupported

unknown_function:
	mov	x1, #-1				/* SMCCC: unknown function */
	b	world_call_done

normal_unsupported:
	error	NOT_SUPPORTED
	b	world_ffa_done
normal_invalid:
	error	INVALID_PARAMETERS
	b	world_ffa_done
normal_denied:
	error	DENIED
	b	world_ffa_done

normal_id:
	success	NORMAL_WORLD
	b	world_ffa_done
normal_spm_id:
	success	SPMC
	b	world_ffa_done

	/* The normal world and OP-TEE negotiate the version; between the worlds that is a framework message. */
normal_version:
	tbnz	w1, #31, no_version
	ldr	x16, =NORMAL_VERSION
	str	w1, [x16]
	mov	w3, w1
	mov32	w0, FFA_DIRECT_REQUEST
	mov32	w1, (SPMD << 16) | SPMC
	mov32	w2, VERSION_REQUEST
	mov	x4, #0
	mov	x5, #0
	mov	x6, #0
	mov	x7, #0
	mov	w16, #SPMD_VERSION
	b	enter
no_version:
	mov	w0, #NOT_SUPPORTED
version_answer:
	mov	x1, #0
	mov	x2, #0
	no_parameters
	b	world_ffa_done

	/* Functions of FF-A 1.2, only if the normal world uses 1.2. OP-TEE itself rejects what it does not support. */
normal_forward_1_2:
	ldr	x16, =NORMAL_VERSION
	ldr	w16, [x16]
	mov32	w17, VERSION_1_2
	cmp	w16, w17
	b.lo	normal_unsupported
	and	w16, w0, #0xff
	cmp	w16, #0x8d			/* FFA_MSG_SEND_DIRECT_REQ2 */
	b.ne	normal_forward

	/* The sender must be in the normal world, and the receiver must not be the dispatcher. */
normal_request:
	tbnz	w1, #(16 + SECURE_BIT), normal_invalid
	and	w16, w1, #0xffff
	mov	w17, #SPMD
	cmp	w16, w17
	b.eq	normal_invalid
normal_forward:
	mov	w16, #SPMD_CALL
	b	enter

/* ---- A secure interrupt arrived while the normal world ran. ---- */

spmd_interrupt:
	mov32	w0, FFA_INTERRUPT
	mov	x1, #0
	mov	x2, #0
	no_parameters
	mov	w16, #SPMD_INTERRUPT

	/* Enter OP-TEE: x0..x7 are its arguments, w16 = why it is entered. OP-TEE also reads x8..x17 as arguments. */
enter:
	str	w16, [sp, #CONTEXT_SPMD]
	ldr	x16, [sp, #CONTEXT_S_ELR]
	ldr	x17, [sp, #CONTEXT_S_SPSR]
	msr	elr_el3, x16
	msr	spsr_el3, x17
	mov	x17, #SCR_SECURE
	msr	scr_el3, x17
	mov	x8, #0
	mov	x9, #0
	mov	x10, #0
	mov	x11, #0
	mov	x12, #0
	mov	x13, #0
	mov	x14, #0
	mov	x15, #0
	mov	x16, #0
	mov	x17, #0
	eret

/* ---- SMCs of OP-TEE: x16, x17 are in CONTEXT_SCRATCH; x8 is preserved as long as OP-TEE may continue at once. ---- */

spmd_secure:
	str	x8, [sp, #CONTEXT_SPMD_X8]
	find_function secure_unsupported
	go_to_handler 4, secure_unsupported

secure_unsupported:
	error	NOT_SUPPORTED
	b	to_optee
secure_invalid:
	error	INVALID_PARAMETERS
	b	to_optee
secure_denied:
	error	DENIED
	b	to_optee
secure_id:
	success	SPMC
	b	to_optee
secure_spm_id:
	success	SPMD
	b	to_optee
secure_version:
	mov32	w0, VERSION_1_2
	mov	x1, #0
	mov	x2, #0
	no_parameters
	b	to_optee
secure_features:
	mov32	w0, FFA_SUCCESS
	b	to_optee

	/* OP-TEE registers the entry point for secondary CPUs; a separate instruction. */
secure_entry:
	ldr	w16, [sp, #CONTEXT_SPMD]
	cbnz	w16, secure_denied		/* only during boot */
	ldr	x16, =OPTEE
	ldr	x17, =OPTEE_END
	cmp	x1, x16
	b.lo	secure_invalid
	cmp	x1, x17
	b.hs	secure_invalid
	tst	x1, #3
	b.ne	secure_invalid
	ldr	x16, =SECONDARY_ENTRY
	str	x1, [x16]
	success	0
to_optee:
	ldr	x8, [sp, #CONTEXT_SPMD_X8]
	return_to_optee

	/* Once at the end of its boot; later this is an answer like any other. */
secure_wait:
	ldr	w16, [sp, #CONTEXT_SPMD]
	cbnz	w16, secure_forward
	save_optee SPMD_IDLE
	mrs	x16, mpidr_el1
	tst	x16, #0xff
	b.ne	started
	ldr	x16, =SECONDARY_ENTRY
	ldr	x1, [x16]
	cbnz	x1, first_started
	ldr	x1, =OPTEE			/* none was registered: the entry of the first CPU */
	b	first_started

	/* OP-TEE reports an error at the end of its boot: it cannot run. */
secure_error:
	ldr	w16, [sp, #CONTEXT_SPMD]
	cbnz	w16, secure_forward
	mov	x0, #VECTOR_SPMC_FAILED
	sxtw	x3, w2
	mrs	x4, elr_el3
	mov	x5, #0
	mov	x6, #0
	b	tell_exception

secure_resume:
	ldr	w16, [sp, #CONTEXT_SPMD]
	cmp	w16, #SPMD_INTERRUPT
	b.ne	secure_denied
	save_optee SPMD_IDLE
	b	world_interrupt_done

	/* OP-TEE is not a partition that could send requests to the dispatcher. */
secure_request:
	and	w16, w1, #0xffff
	mov	w17, #SPMD
	cmp	w16, w17
	b.eq	secure_denied
	b	secure_forward

secure_response:
	and	w16, w1, #0xffff
	mov	w17, #SPMD
	cmp	w16, w17
	b.ne	secure_forward
	ldr	w16, [sp, #CONTEXT_SPMD]
	cmp	w16, #SPMD_VERSION
	b.ne	secure_denied
	save_optee SPMD_IDLE
	mov32	w16, FFA_DIRECT_RESPONSE
	mov32	w17, VERSION_RESPONSE
	cmp	w0, w16
	ccmp	w2, w17, #0, eq
	b.ne	no_version
	mov	w0, w3
	/* The version of the normal world is the older one of what it requested and what OP-TEE answered. */
	ldr	x16, =NORMAL_VERSION
	ldr	w17, [x16]
	cmp	w0, w17
	csel	w17, w0, w17, lo
	str	w17, [x16]
	b	version_answer

	/* OP-TEE's next SMC is the answer to the call for which it was entered. */
secure_forward:
	ldr	w16, [sp, #CONTEXT_SPMD]
	cmp	w16, #SPMD_VERSION
	b.eq	1f
	cmp	w16, #SPMD_CALL
	b.ne	secure_denied
	save_optee SPMD_IDLE
	b	world_ffa_done
1:	save_optee SPMD_IDLE
	b	no_version
	.ltorg

#define SMC32			1
#define SMC64			2

	.macro	function conventions, normal, secure
	.byte	\conventions, 0
	.hword	\normal - handlers, \secure - handlers, 0
	.endm

	.balign	8
functions:				/* handlers for the normal world, and for OP-TEE */
	function SMC32, normal_forward, secure_error			/* 60 FFA_ERROR */
	function SMC32 | SMC64, normal_forward, secure_forward		/* 61 FFA_SUCCESS */
	function SMC32, normal_unsupported, secure_forward		/* 62 FFA_INTERRUPT */
	function SMC32, normal_version, secure_version			/* 63 FFA_VERSION */
	function SMC32, normal_forward, secure_features			/* 64 FFA_FEATURES */
	function SMC32, normal_forward, secure_unsupported		/* 65 FFA_RX_RELEASE */
	function SMC32 | SMC64, normal_forward, secure_unsupported	/* 66 FFA_RXTX_MAP */
	function SMC32, normal_forward, secure_unsupported		/* 67 FFA_RXTX_UNMAP */
	function SMC32, normal_forward, secure_unsupported		/* 68 FFA_PARTITION_INFO_GET */
	function SMC32, normal_id, secure_id				/* 69 FFA_ID_GET */
	function 0, normal_unsupported, secure_unsupported		/* 6a FFA_MSG_POLL, of 1.0 */
	function SMC32, normal_unsupported, secure_wait			/* 6b FFA_MSG_WAIT */
	function SMC32, normal_unsupported, secure_forward		/* 6c FFA_YIELD */
	function SMC32, normal_forward, secure_unsupported		/* 6d FFA_RUN */
	function 0, normal_unsupported, secure_unsupported		/* 6e FFA_MSG_SEND, of 1.0 */
	function SMC32 | SMC64, normal_request, secure_request		/* 6f FFA_MSG_SEND_DIRECT_REQ */
	function SMC32 | SMC64, normal_forward, secure_response		/* 70 FFA_MSG_SEND_DIRECT_RESP */
	function SMC32 | SMC64, normal_forward, secure_forward		/* 71 FFA_MEM_DONATE */
	function SMC32 | SMC64, normal_forward, secure_forward		/* 72 FFA_MEM_LEND */
	function SMC32 | SMC64, normal_forward, secure_forward		/* 73 FFA_MEM_SHARE */
	function SMC32 | SMC64, normal_forward, secure_forward		/* 74 FFA_MEM_RETRIEVE_REQ */
	function SMC32, normal_forward, secure_forward			/* 75 FFA_MEM_RETRIEVE_RESP */
	function SMC32, normal_forward, secure_forward			/* 76 FFA_MEM_RELINQUISH */
	function SMC32, normal_forward, secure_forward			/* 77 FFA_MEM_RECLAIM */
	function 0, normal_unsupported, secure_unsupported		/* 78 */
	function 0, normal_unsupported, secure_unsupported		/* 79 */
	function SMC32, normal_forward, secure_forward			/* 7a FFA_MEM_FRAG_RX */
	function SMC32, normal_forward, secure_forward			/* 7b FFA_MEM_FRAG_TX */
	function SMC32, normal_denied, secure_resume			/* 7c FFA_NORMAL_WORLD_RESUME */
	function SMC32, normal_forward, secure_unsupported		/* 7d FFA_NOTIFICATION_BITMAP_CREATE */
	function SMC32, normal_forward, secure_unsupported		/* 7e FFA_NOTIFICATION_BITMAP_DESTROY */
	function SMC32, normal_forward, secure_unsupported		/* 7f FFA_NOTIFICATION_BIND */
	function SMC32, normal_forward, secure_unsupported		/* 80 FFA_NOTIFICATION_UNBIND */
	function SMC32, normal_forward, secure_unsupported		/* 81 FFA_NOTIFICATION_SET */
	function SMC32, normal_forward, secure_unsupported		/* 82 FFA_NOTIFICATION_GET */
	function SMC32 | SMC64, normal_forward, secure_unsupported	/* 83 FFA_NOTIFICATION_INFO_GET */
	function SMC32, normal_forward, secure_unsupported		/* 84 FFA_RX_ACQUIRE */
	function SMC32, normal_spm_id, secure_spm_id			/* 85 FFA_SPM_ID_GET */
	function SMC32, normal_forward, secure_unsupported		/* 86 FFA_MSG_SEND2 */
	function SMC64, normal_unsupported, secure_entry		/* 87 FFA_SECONDARY_EP_REGISTER */
	function SMC32 | SMC64, normal_unsupported, secure_unsupported	/* 88 FFA_MEM_PERM_GET */
	function SMC32 | SMC64, normal_unsupported, secure_unsupported	/* 89 FFA_MEM_PERM_SET */
	function SMC32 | SMC64, normal_unsupported, secure_unsupported	/* 8a FFA_CONSOLE_LOG */
	function SMC64, normal_forward_1_2, secure_unsupported		/* 8b FFA_PARTITION_INFO_GET_REGS */
	function SMC32, normal_unsupported, secure_unsupported		/* 8c FFA_EL3_INTR_HANDLE */
	function SMC64, normal_forward_1_2, secure_request		/* 8d FFA_MSG_SEND_DIRECT_REQ2 */
	function SMC64, normal_forward_1_2, secure_response		/* 8e FFA_MSG_SEND_DIRECT_RESP2 */
functions_end:
	.if	(functions_end - functions) != 8 * (FFA_LAST - FFA_FIRST + 1)
	.error	"the table of functions has a gap"
	.endif
