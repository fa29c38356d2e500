import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openTee } from '../open-tee.js';
import { opteeNamed } from '../optee-build/built-optee.js';
import { type Arm64Root, isComplete } from '../serve/arm64-root.js';
import { clientCommand } from '../serve/client-command.js';
import { runClient } from '../serve/run-client.js';
import { TeeServer } from '../serve/tee-server.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import { testPlugin } from './test-plugin.js';
import { type XtestCase, XtestOutput } from './xtest-output.js';

export interface RunXtestOptions {
  /** Run only cases whose names contain one of these; all if empty. */
  readonly cases?: readonly string[];
  /** Path of xtest, in place of the fetched one. */
  readonly program?: string;
  /** OP-TEE in place of the fetched one: its name (`normalworld optee list`) or its image. */
  readonly optee?: string;
  /** Folders with trusted applications, searched before the test suite's own. */
  readonly taFolders?: readonly string[];
  /** Longest time of a call of xtest, in milliseconds; no limit when left out. */
  readonly callLimitMs?: number;
  /** Called with each line that xtest prints. */
  readonly onLine?: (line: string) => void;
  readonly onCase?: (ended: XtestCase) => void;
  readonly onConsoleLine?: (line: string) => void;
}

/** The result of a run. */
export interface XtestRun {
  /** All cases passed, also according to xtest. */
  readonly ok: boolean;
  readonly output: XtestOutput;
  readonly exitCode: number;
  /** Duration including the boot of OP-TEE. */
  readonly milliseconds: number;
  /** Duration from the start of xtest to its end. */
  readonly suiteMilliseconds: number;
}

/**
 * Boot OP-TEE, serve it, and run its unmodified test suite.
 * @throws Error saying what is missing.
 */
export async function runXtest(options: RunXtestOptions = {}, ownRoot?: Arm64Root): Promise<XtestRun> {
  const optee = await opteeNamed(options.optee);
  const root = ownRoot ?? optee.clients;
  if (options.program === undefined && !isComplete(root))
    throw new Error(`no ${root.xtest}; get it with: npx normalworld optee fetch`);
  const { onConsoleLine } = options;
  const started = performance.now();
  await using tee = await openTee({
    world: 'qemu',
    taFolders: [
      ...(options.taFolders ?? []),
      ...[root.trustedApplications, optee.trustedApplications ?? opteeFolder().trustedApplications].filter(existsSync),
    ],
    supplicant: { plugins: [testPlugin] },
    ...(options.callLimitMs === undefined ? {} : { callLimitMs: options.callLimitMs }),
    qemu: {
      optee: optee.image,
      ...(onConsoleLine === undefined ? {} : { onConsoleLine: ({ text }) => onConsoleLine(text) }),
    },
  });
  await using server = await TeeServer.listen(tee);
  const output = new XtestOutput();
  using command = await clientCommand(
    options.program ?? root.xtest,
    ['-l', '0', ...(options.cases ?? [])],
    server.path,
  );
  const begun = performance.now();
  const exitCode = await runClient(command, ({ stdout }) => {
    if (stdout === null) throw new Error('no pipe from xtest');
    createInterface({ input: stdout }).on('line', (line) => {
      options.onLine?.(line);
      const ofCase = output.line(line, performance.now());
      if (ofCase !== undefined) options.onCase?.(ofCase);
    });
  });
  const ended = performance.now();
  return {
    ok: exitCode === 0 && output.cases.length > 0 && output.cases.every(({ ok }) => ok),
    output,
    exitCode,
    milliseconds: ended - started,
    suiteMilliseconds: ended - begun,
  };
}
