/*
 * What the monitor has to do for the proxy as its normal world: next to nothing. As the proxy runs at NS-EL2, all EL1
 * registers (and SP_EL0) always belong to OP-TEE, and a world switch need not touch them.
 */
#define SPSR_EL2H		0x3c9		/* EL2 on its own stack, D, A, I, F masked */

	.macro	prepare_normal_world		/* once on each CPU; x19 = its number */
	.endm
	.macro	unless_started again		/* all CPUs start by themselves */
	.endm
	.macro	switch_to_optee			/* may use x8..x15, x17 */
	.endm
	.macro	switch_to_normal_world		/* may use x8..x17 */
	.endm
	.macro	serve_normal_world		/* an SMC that is not for a trusted OS: there are none */
	.endm

	.macro	start_normal_world		/* x0 = number of this CPU */
	ldr	x16, =PROXY
	msr	elr_el3, x16
	mov	x16, #SPSR_EL2H
	msr	spsr_el3, x16
	.endm
