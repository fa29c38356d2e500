/*
 * The same with an OP-TEE that does not report its number of threads, like older versions. Linux then admits every call
 * and relies on ETHREAD_LIMIT.
 */
#define HIDE_THREAD_COUNT
#include "linux.S"
