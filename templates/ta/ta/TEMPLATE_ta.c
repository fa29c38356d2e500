#include <__FILE___ta.h>
#include <tee_internal_api.h>
#include <trace.h>

static TEE_Result add(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	const uint32_t expected = TEE_PARAM_TYPES(TEE_PARAM_TYPE_VALUE_INOUT, TEE_PARAM_TYPE_NONE,
						  TEE_PARAM_TYPE_NONE, TEE_PARAM_TYPE_NONE);
	uint32_t sum = 0;

	if (types != expected)
		return TEE_ERROR_BAD_PARAMETERS;
	if (__builtin_add_overflow(params[0].value.a, params[0].value.b, &sum))
		return TEE_ERROR_BAD_PARAMETERS;
	DMSG("%u + %u = %u", params[0].value.a, params[0].value.b, sum);
	params[0].value.a = sum;
	return TEE_SUCCESS;
}

static TEE_Result reverse(uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	const uint32_t expected = TEE_PARAM_TYPES(TEE_PARAM_TYPE_MEMREF_INOUT, TEE_PARAM_TYPE_NONE,
						  TEE_PARAM_TYPE_NONE, TEE_PARAM_TYPE_NONE);
	uint8_t *octets = params[0].memref.buffer;
	size_t size = params[0].memref.size;

	if (types != expected)
		return TEE_ERROR_BAD_PARAMETERS;
	for (size_t i = 0; i < size / 2; i++) {
		uint8_t octet = octets[i];

		octets[i] = octets[size - 1 - i];
		octets[size - 1 - i] = octet;
	}
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
	case TA___SYMBOL___CMD_ADD:
		return add(types, params);
	case TA___SYMBOL___CMD_REVERSE:
		return reverse(types, params);
	default:
		return TEE_ERROR_NOT_SUPPORTED;
	}
}
