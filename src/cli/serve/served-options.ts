import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import type { Tee } from '../../client/tee.js';
import { openTee } from '../../open-tee.js';
import { panicText } from '../../protocol/panic-text.js';
import type { TrustedApplication } from '../../worlds/simulated/index.js';
import {
  addOpteeOptions,
  checkSupplicantOptions,
  limitsOf,
  type OpteeOptions,
  onOptee,
  supplicantOf,
} from '../open/optee-options.js';
import { refuseOthers } from '../open/refuse-others.js';
import { tellFailure } from '../output/failure.js';

/** The TEE that `serve` and `exec` serve. */
export interface ServedOptions extends OpteeOptions {
  readonly simulated?: readonly string[] | true;
}

export function addServedOptions(command: Command): Command {
  return addOpteeOptions(
    command
      .option(
        '--simulated [modules...]',
        'the simulated secure world instead of OP-TEE in QEMU, with the trusted applications that these modules export by default',
      )
      .option(
        '--no-supplicant',
        'leave /dev/teepriv0 to a separate supplicant program (default: the built-in supplicant uses it)',
      ),
    // Clients set their own time limits, as on a board.
    Number.POSITIVE_INFINITY,
  );
}

/** Options that apply to the simulated world. */
const ofSimulated: ReadonlySet<string> = new Set([
  ...['simulated', 'storage', 'storageReadOnly', 'sockets', 'supplicant', 'callLimit', 'console', 'socket'],
]);

/** Open the TEE, call `serve`, and close it. */
export async function openServed(options: ServedOptions, serve: (tee: Tee) => Promise<void>): Promise<void> {
  const run = (tee: Tee) => {
    tellPanics(tee);
    return serve(tee);
  };
  if (options.simulated === undefined) return onOptee(options, run);
  const modules = options.simulated === true ? [] : options.simulated;
  try {
    refuseOthers(options, ofSimulated, 'is for OP-TEE in QEMU, not for the simulated world');
    checkSupplicantOptions(options);
    const trustedApplications = (await Promise.all(modules.map(applicationsOf))).flat();
    await using tee = await openTee({
      trustedApplications,
      memoryFile: true,
      ...(options.storage === undefined ? {} : { storageFolder: options.storage }),
      ...(options.storageReadOnly === undefined ? {} : { storageReadOnly: options.storageReadOnly }),
      ...supplicantOf(options),
      ...limitsOf(options),
    });
    if (options.console)
      tee.trace.listen((event) => {
        if (event.type === 'secure-console') console.error(event.line);
      });
    await run(tee);
  } catch (error) {
    tellFailure(error);
  }
}

/** Print panics, because the client only gets TARGET_DEAD, which does not say why. */
function tellPanics(tee: Tee): void {
  tee.panics?.listen((panic) => console.error(`normalworld: ${panic.uuid}: ${panicText(panic)}`));
}

async function applicationsOf(path: string): Promise<readonly TrustedApplication[]> {
  const module = await import(pathToFileURL(resolve(path)).href).then(
    (module) => module as { readonly default?: TrustedApplication | readonly TrustedApplication[] },
    (error: unknown) => {
      // The stack shows the author of the module where it failed.
      throw new Error(existsSync(path) && error instanceof Error ? `${path}: ${error.stack}` : `no module ${path}`);
    },
  );
  if (module.default === undefined) throw new Error(`${path} exports no trusted application by default`);
  return [module.default].flat() as readonly TrustedApplication[];
}
