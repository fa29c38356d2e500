global-incdirs-y += include
srcs-y += __FILE___ta.c
