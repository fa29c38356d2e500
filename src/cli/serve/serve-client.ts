import { Console } from 'node:console';
import type { Tee } from '../../client/tee.js';
import { ownIdentity } from '../../linux/open-linux-tee.js';
import { openTee } from '../../open-tee.js';
import { packageVersion } from '../../package-version.js';
import { Agent } from '../../remote/agent.js';
import { FrameError } from '../../remote/frames.js';
import { helloLine, protocolVersion } from '../../remote/hello.js';
import { Ending } from '../open/ending.js';
import { refuseOthers } from '../open/refuse-others.js';
import { tellFailure } from '../output/failure.js';
import { openServed, type ServedOptions } from './served-options.js';

/** Options of `serve`. */
export interface ServeOptions extends ServedOptions {
  readonly socket?: string;
  readonly stdio?: boolean;
  readonly device?: string | true;
  readonly deviceCalls?: number;
}

/** Serve one client through standard input and output until the input ends. */
export async function serveClient(options: ServeOptions): Promise<void> {
  // Standard output belongs to the protocol, so other output goes to standard error.
  globalThis.console = new Console(process.stderr, process.stderr);
  using ending = new Ending();
  const serve = async (tee: Tee) => {
    ending.run();
    await attend(tee, ending);
  };
  try {
    const { device, deviceCalls, callLimit, stdio: _, socket, ...others } = options;
    if (socket !== undefined) throw new RangeError('--socket is for many clients: with --stdio there is one');
    if (device === undefined) {
      if (deviceCalls !== undefined) throw new RangeError('--device-calls is for a --device');
      await openServed({ ...others, ...(callLimit === undefined ? {} : { callLimit }) }, serve);
      return;
    }
    refuseOthers(others, new Set(), 'is not for a --device: its TEE is the one that runs already');
    await using tee = await openTee({
      world: 'linux',
      device: device === true ? '/dev/tee0' : device,
      ...(deviceCalls === undefined ? {} : { deviceCalls }),
      ...(callLimit === undefined ? {} : { callLimitMs: callLimit }),
    });
    await serve(tee);
  } catch (error) {
    tellFailure(error);
  }
}

async function attend(tee: Tee, ending: Ending): Promise<void> {
  const identity = ownIdentity();
  const { device, callLimitMs } = tee;
  const agent = new Agent({ device, callLimitMs, identity, send: (bytes) => void process.stdout.write(bytes) });
  const { revision, rpmbRouting } = tee;
  process.stdout.write(
    helloLine({
      ...{ protocol: protocolVersion, version: packageVersion, tee: device.version, identity },
      ...{ revision, rpmbRouting },
    }),
  );
  const { stdin } = process;
  const over = new Promise<void>((resolve) => {
    stdin.on('data', (bytes: Buffer) => {
      try {
        agent.receive(bytes);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        console.error(`normalworld: the client violated the protocol: ${error.message}`);
        process.exitCode = 1;
        resolve();
      }
    });
    stdin.once('close', resolve);
    stdin.once('error', () => resolve());
  });
  let closing = false;
  const lost = tee.ended?.then((error) => {
    if (closing) return;
    console.error(`normalworld: the TEE is lost: ${error.message}`);
    process.exitCode = 1;
  });
  await Promise.race([over, ending.asked, ...(lost === undefined ? [] : [lost])]);
  closing = true;
  stdin.destroy();
  ending.begin(() => ['calls of the client']);
  await agent.end();
}
