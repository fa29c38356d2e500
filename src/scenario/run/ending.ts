import { TeecError } from '../../tee/teec-error.js';

/**
 * A context's end. That secure world refuses to close a session is in the trace; the client is gone all the same.
 * @returns whether it ended in good order.
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
