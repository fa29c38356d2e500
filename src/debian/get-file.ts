import { fileURLToPath } from 'node:url';
import { startTimer } from '../clock/timer.js';
import { readRegularFile } from '../files/read-regular-file.js';

/** Largest download, in bytes. */
const maxFileSize = 256 * 2 ** 20;
/** Longest time without data, in milliseconds. */
const silenceMs = 30_000;

/** The file does not exist. */
export class AbsentError extends Error {
  constructor(readonly url: string) {
    super(`the archive has no ${url} (404)`);
  }
}

/**
 * Download from a URL: http, https or file.
 * @throws AbsentError, or Error with the reason.
 */
export async function getFile(url: string): Promise<Uint8Array> {
  if (url.startsWith('file:')) {
    try {
      return await readRegularFile(fileURLToPath(url));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new AbsentError(url);
      throw error;
    }
  }
  const silence = new AbortController();
  let cancel = () => {};
  const wait = () => {
    cancel();
    cancel = startTimer(silenceMs, () => silence.abort(new Error(`no data for ${silenceMs / 1000} s`)));
  };
  try {
    wait();
    const response = await fetch(url, { signal: silence.signal });
    if (response.status === 404) throw new AbsentError(url);
    if (!response.ok || response.body === null) throw new Error(`${response.status} ${response.statusText}`);
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      wait();
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxFileSize) throw new Error(`more than ${maxFileSize} bytes`);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    if (error instanceof AbsentError) throw error;
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
    throw new Error(`${url} could not be downloaded: ${why}`, { cause: error });
  } finally {
    cancel();
  }
}
