#ifndef TA___SYMBOL___H
#define TA___SYMBOL___H

/* __UUID__ */
#define TA___SYMBOL___UUID \
	{ __UUIDFIELDS__ }

/* params[0]: value, inout. a becomes a + b; BAD_PARAMETERS when that is more than 32 bits hold. */
#define TA___SYMBOL___CMD_ADD 0

/* params[0]: memref, inout. Its octets in reverse order. */
#define TA___SYMBOL___CMD_REVERSE 1

#endif
