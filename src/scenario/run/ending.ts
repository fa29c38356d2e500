import { TeecError } from '../../tee/teec-error.js';

/**
 * Wait for the end of a context. If secure world refuses to close a session, the trace reports it, and the client still
 * ends.
 * @returns whether everything was closed without an error.
 */
export async function ending(closed: Promise<void>): Promise<boolean> {
  try {
    await closed;
    return true;
  } catch (error) {
    if (!(error instanceof TeecError)) throw error;
    return false;
  }
}
