/*
 * A ledger with a few records. DEFECT selects one planted defect; 0 means none. Each is a typical mistake: a missing
 * check, a bound that does not belong to the buffer, a loop that does not end.
 */
#include <string.h>
#include <tee_internal_api.h>
#include <user_ta_header_defines.h>

enum { ADD = 0, PUT = 1, GET = 2, DIGITS = 3, UPPER = 4, SUM = 5 };
enum { TYPES = 1, INDEX, EMPTY, BEHIND, ENDLESS, INPUT };

#define RECORDS 4
#define RECORD_SIZE 64

static struct {
	uint32_t size;
	uint8_t octets[RECORD_SIZE];
} records[RECORDS];

#define NONE TEE_PARAM_TYPE_NONE
#define WANTED(a, b) (types == TEE_PARAM_TYPES(TEE_PARAM_TYPE_##a, TEE_PARAM_TYPE_##b, NONE, NONE))

static TEE_Result add(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	if (!WANTED(VALUE_INOUT, NONE))
		return TEE_ERROR_BAD_PARAMETERS;
	params[0].value.a += params[0].value.b;
	return TEE_SUCCESS;
}

/* Stores the octets in record number value.a. */
static TEE_Result put(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	uint32_t index = params[0].value.a;
	size_t size = params[1].memref.size;

	if (!WANTED(VALUE_INPUT, MEMREF_INPUT))
		return TEE_ERROR_BAD_PARAMETERS;
	if (DEFECT != INDEX && index >= RECORDS)
		return TEE_ERROR_ITEM_NOT_FOUND;
	if (size > RECORD_SIZE)
		return TEE_ERROR_EXCESS_DATA;
	if (DEFECT == EMPTY && size == 0)
		TEE_Panic(TEE_ERROR_BAD_STATE);
	records[index].size = size;
	memcpy(records[index].octets, params[1].memref.buffer, size);
	return TEE_SUCCESS;
}

/* Returns the octets of record number value.a. */
static TEE_Result get(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	uint32_t index = params[0].value.a;
	size_t size = RECORD_SIZE;

	if (!WANTED(VALUE_INPUT, MEMREF_OUTPUT))
		return TEE_ERROR_BAD_PARAMETERS;
	if (index >= RECORDS)
		return TEE_ERROR_ITEM_NOT_FOUND;
	if (DEFECT != BEHIND)
		size = records[index].size;
	if (params[1].memref.size < records[index].size) {
		params[1].memref.size = records[index].size;
		return TEE_ERROR_SHORT_BUFFER;
	}
	memcpy(params[1].memref.buffer, records[index].octets, size);
	params[1].memref.size = records[index].size;
	return TEE_SUCCESS;
}

/* Counts the decimal digits of value.a. */
static TEE_Result digits(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	volatile uint32_t left = params[0].value.a;
	uint32_t count = 1;

	if (!WANTED(VALUE_INOUT, NONE))
		return TEE_ERROR_BAD_PARAMETERS;
	while (DEFECT == ENDLESS ? left != 1 && left != 0 : left >= 10) {
		/* With the defect, the loop does not end for values below ten. */
		if (DEFECT != ENDLESS || left >= 10)
			left /= 10;
		count++;
	}
	params[0].value.a = count;
	return TEE_SUCCESS;
}

/* Copies the input to the output in upper case. */
static TEE_Result upper(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	uint8_t *from = params[0].memref.buffer;
	uint8_t *to = params[1].memref.buffer;

	if (!WANTED(MEMREF_INPUT, MEMREF_OUTPUT))
		return TEE_ERROR_BAD_PARAMETERS;
	if (params[1].memref.size < params[0].memref.size)
		return TEE_ERROR_SHORT_BUFFER;
	params[1].memref.size = params[0].memref.size;
	for (size_t i = 0; i < params[0].memref.size; i++) {
		uint8_t octet = from[i] >= 'a' && from[i] <= 'z' ? from[i] - 'a' + 'A' : from[i];

		if (DEFECT == INPUT)
			from[i] = octet + 1;
		to[i] = octet;
	}
	return TEE_SUCCESS;
}

/* Sums the octets. */
static TEE_Result sum(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	uint8_t *octets = params[0].memref.buffer;
	uint32_t total = 0;

	if (DEFECT != TYPES && !WANTED(MEMREF_INPUT, VALUE_OUTPUT))
		return TEE_ERROR_BAD_PARAMETERS;
	for (size_t i = 0; i < params[0].memref.size; i++)
		total += octets[i];
	params[1].value.a = total;
	return TEE_SUCCESS;
}

TEE_Result TA_CreateEntryPoint(void)
{
	return TEE_SUCCESS;
}

void TA_DestroyEntryPoint(void)
{
}

TEE_Result TA_OpenSessionEntryPoint(uint32_t types __unused, TEE_Param params[TEE_NUM_PARAMS] __unused,
				    void **session __unused)
{
	return TEE_SUCCESS;
}

void TA_CloseSessionEntryPoint(void *session __unused)
{
}

TEE_Result TA_InvokeCommandEntryPoint(void *session __unused, uint32_t command, uint32_t types,
				      TEE_Param params[TEE_NUM_PARAMS])
{
	switch (command) {
	case ADD:
		return add(types, params);
	case PUT:
		return put(types, params);
	case GET:
		return get(types, params);
	case DIGITS:
		return digits(types, params);
	case UPPER:
		return upper(types, params);
	case SUM:
		return sum(types, params);
	default:
		return TEE_ERROR_NOT_SUPPORTED;
	}
}
