#ifndef USER_TA_HEADER_DEFINES_H
#define USER_TA_HEADER_DEFINES_H

#define TA_UUID { 0x6b1f3c52, 0x0d8e, 0x4a77, { 0x9e, 0x55, 0x3f, 0x1d, 0x2c, 0x4b, 0x5a, 0x60 } }
#define TA_FLAGS 0
#define TA_STACK_SIZE (2 * 1024)
#define TA_DATA_SIZE (32 * 1024)
#define TA_VERSION "1.0"
#define TA_DESCRIPTION "A ledger, for defects that a fuzzer is to find"

#endif
