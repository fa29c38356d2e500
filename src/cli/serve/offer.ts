import type { Tee } from '../../client/tee.js';
import { waitingCalls } from '../../client/waiting-calls.js';
import { type ServeOptions, TeeServer } from '../../serve/tee-server.js';
import { Ending } from '../open/ending.js';
import { openServed, type ServedOptions } from './served-options.js';

/**
 * Open the TEE, serve it to clients while `run` runs, and end it in bounded time.
 * @param run called with the path of the server's socket, and with a promise that resolves when a signal requests the
 * end or secure world can no longer be reached.
 */
export async function offer(
  options: ServedOptions,
  serveOptions: ServeOptions,
  run: (path: string, over: Promise<'asked' | 'lost'>) => Promise<void>,
): Promise<void> {
  using ending = new Ending();
  await openServed(options, async (tee) => {
    await using server = await TeeServer.listen(tee, serveOptions);
    ending.run();
    let closing = false;
    const lost = tee.ended?.then((error): 'lost' => {
      // Print it at once, because clients only get COMMUNICATION, which does not say why.
      if (!closing)
        console.error(`normalworld: the TEE failed; its clients get TEEC_ERROR_COMMUNICATION: ${error.message}`);
      return 'lost';
    });
    const asked = ending.asked.then((): 'asked' => 'asked');
    try {
      await run(server.path, lost === undefined ? asked : Promise.race([asked, lost]));
    } finally {
      closing = true;
      ending.begin(() => waitsFor(tee, server));
    }
  });
}

/** What the end of a TEE waits for, as text. */
export function waitsFor(tee: Tee, server: TeeServer): readonly string[] {
  const all = waitingCalls(tee.waiting());
  if (all.length > 0) return all;
  return server.clients.length === 0 ? ['the TEE to close'] : server.clients;
}
