import { getSystemErrorMap } from 'node:util';

/** An error for something that failed with `errno`, with its name and text: "pipe2: EMFILE, too many open files". */
export function systemError(what: string, errno: number): Error {
  const [code = `errno ${errno}`, text = 'unknown error'] = getSystemErrorMap().get(-errno) ?? [];
  return Object.assign(new Error(`${what}: ${code}, ${text}`), { code, errno: -errno });
}
