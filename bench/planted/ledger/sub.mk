global-incdirs-y += .
cflags-ledger.c-y += -DDEFECT=$(DEFECT)
srcs-y += ledger.c
