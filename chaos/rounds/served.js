import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { openTee, TeeServer } from '../../dist/index.js';
import { applications } from '../applications.js';
import { Witness } from '../witness.js';
import { limitMs } from './simulated.js';

const program = fileURLToPath(new URL('../served-client.js', import.meta.url));

/**
 * A round on a served TEE: processes talk to the server as the preload library does, or violate its protocol, and are
 * killed at any time. Their open resources must be released; a client in the server's own process is served meanwhile.
 */
export async function servedRound({ draws, findings }) {
  const apps = applications();
  const tee = await openTee({
    trustedApplications: apps.all,
    memoryFile: true,
    simulated: { threads: 1 + draws.upTo(4) },
    supplicant: { onError: () => {} },
  });
  try {
    const witness = new Witness(findings, draws.fork());
    await witness.open(tee, [apps.pseudo.uuid, apps.user.uuid]);
    const server = await TeeServer.listen(tee, {
      onError: (error) => findings.add(`the server failed: ${error.stack}`),
    });
    const witnessing = witness.run();
    const clients = Array.from({ length: 1 + draws.upTo(2) }, () => client(server.path, apps, draws.fork(), findings));
    await findings.inTime('the clients of the server', 2 * limitMs, Promise.all(clients));
    witness.stopped = true;
    await findings.inTime('the witness', limitMs, witnessing);
    const gone = (async () => {
      while (server.openFiles > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    })();
    await findings.inTime('files of dead clients to go', 5000, gone, () => `${server.openFiles} are left`);
    await findings.inTime('closing the server', limitMs, server[Symbol.asyncDispose]());
    await witness.close();
  } finally {
    await findings.inTime('closing the TEE', limitMs, tee.close(), () => JSON.stringify(tee.waiting()));
    const kept = tee.sharedMemoryInUse;
    findings.check(kept === 0, () => `${kept} bytes of shared memory are in use after the served TEE was closed`);
  }
}

/** One process, which ends by itself or is killed. If it ends by itself, all its results were right. */
async function client(path, apps, draws, findings) {
  const child = spawn(
    process.execPath,
    [program, path, apps.pseudo.uuid, apps.user.uuid, String(draws.upTo(2 ** 31))],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let told = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    told += text;
  });
  const killing = draws.chance(0.6) ? setTimeout(() => child.kill('SIGKILL'), 100 + draws.upTo(700)) : undefined;
  const [code, signal] = await once(child, 'close');
  clearTimeout(killing);
  findings.count(signal === 'SIGKILL' ? 'processes killed' : 'processes that ended');
  findings.check(
    code === 0 || signal === 'SIGKILL',
    () => `a client of the server ended with ${code ?? signal}: ${told}`,
  );
}
