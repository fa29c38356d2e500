import { TeeResult } from '../protocol/tee-result.js';
import { TeecError } from '../tee/teec-error.js';

/** Linux's error numbers (asm-generic/errno-base.h, errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EBADF: 9,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EOPNOTSUPP: 95,
} as const;

/** A request that the kernel rejects with an errno before it reaches secure world. */
export class ErrnoError extends Error {
  override readonly name = 'ErrnoError';

  constructor(
    readonly errno: number,
    what: string,
  ) {
    super(what);
  }
}

/** The errno that Linux's driver returns in place of an error of ours. @throws any other error */
export function errnoOf(error: unknown): number {
  if (error instanceof ErrnoError) return error.errno;
  if (!(error instanceof TeecError)) throw error;
  switch (error.code) {
    case TeeResult.ERROR_ACCESS_DENIED:
      return Errno.EPERM;
    case TeeResult.ERROR_OUT_OF_MEMORY:
      return Errno.ENOMEM;
    case TeeResult.ERROR_NOT_SUPPORTED:
      return Errno.EOPNOTSUPP;
    case TeeResult.ERROR_BAD_STATE:
      return Errno.EBADF;
    default:
      return Errno.EINVAL;
  }
}
