import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError, type TeecError } from '../tee/teec-error.js';

const { errno } = constants;

/** Result codes as in libteec (ioctl_errno_to_res), and some more. */
const results: Readonly<Record<number, number>> = {
  [errno.ENOMEM]: TeeResult.ERROR_OUT_OF_MEMORY,
  [errno.EINVAL]: TeeResult.ERROR_BAD_PARAMETERS,
  [errno.EPERM]: TeeResult.ERROR_ACCESS_DENIED,
  [errno.EACCES]: TeeResult.ERROR_ACCESS_DENIED,
  [errno.ENOENT]: TeeResult.ERROR_ITEM_NOT_FOUND,
  [errno.ENXIO]: TeeResult.ERROR_ITEM_NOT_FOUND,
  [errno.EBUSY]: TeeResult.ERROR_BUSY,
  [errno.ENODEV]: TeeResult.ERROR_COMMUNICATION,
  [errno.EIO]: TeeResult.ERROR_COMMUNICATION,
  [errno.EBADF]: TeeResult.ERROR_BAD_STATE,
  [errno.EOPNOTSUPP]: TeeResult.ERROR_NOT_SUPPORTED,
  [errno.ENOTTY]: TeeResult.ERROR_NOT_SUPPORTED,
};

/** Advice for errors of any request. */
const advice: Readonly<Record<number, string>> = {
  [errno.ENOMEM]: 'the kernel or OP-TEE has no memory left for it: use less, or release unused memory',
  [errno.EINVAL]:
    'the kernel refuses the request: its session or its shared memory belongs to another context, or it does not support the request',
  [errno.EPERM]: 'the kernel does not allow this login for this user',
  [errno.EACCES]: 'this user has no permission',
  [errno.ENODEV]: 'the TEE no longer exists: its driver was removed',
  [errno.EIO]: 'the kernel got no answer from OP-TEE',
  [errno.EFAULT]: 'the buffer is not memory that can be written to',
  [errno.EMFILE]: 'the process has no descriptor left (ulimit -n)',
  [errno.ENFILE]: 'the machine has no descriptor left',
  [errno.ENOTTY]: 'it is not a TEE device',
  [errno.EOPNOTSUPP]: 'OP-TEE or its driver does not support this',
};

/** Advice for errors of opening a device. */
const openAdvice: Readonly<Record<number, string>> = {
  [errno.ENOENT]:
    'there is no such device: the kernel needs CONFIG_TEE and CONFIG_OPTEE (modprobe optee), and a firmware that has started OP-TEE and reports it in /firmware/optee of the device tree',
  [errno.EACCES]: 'this user may not open it: a udev rule gives it to a group, see docs/boards.md',
  [errno.EPERM]: 'this user may not open it: a udev rule gives it to a group, see docs/boards.md',
  [errno.EBUSY]: 'another supplicant has it open: only one can open it at a time',
  [errno.EINVAL]: 'it is not a TEE device',
};

/** The errno's name, such as ENOENT. */
export function errnoName(number: number): string {
  try {
    return getSystemErrorName(-number);
  } catch {
    return `errno ${number}`;
  }
}

/**
 * The error for a request that the kernel refused, with the name of the errno and advice.
 * @param doing what was tried, for the message.
 */
export function errnoError(number: number, doing: string, known = advice): TeecError {
  const what = known[number] ?? advice[number];
  const code = results[number] ?? TeeResult.ERROR_GENERIC;
  return commsError(code, `${doing}: ${errnoName(number)}${what === undefined ? '' : ` (${what})`}`);
}

/** The same for opening a device. */
export const openError = (number: number, path: string): TeecError => errnoError(number, `opening ${path}`, openAdvice);
