/*
 * The same with an OP-TEE that does not say how many threads it has, as older ones do not: Linux then lets everybody in and
 * learns from ETHREAD_LIMIT that none is free.
 */
#define HIDE_THREAD_COUNT
#include "linux.S"
