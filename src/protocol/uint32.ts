/** Whether a value of any kind is an integer from 0 to 2^32 - 1, as a TEE_Result is. */
export function isUint32(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}
