/**
 * `node bench/linux/trace.js [--untracked] > FILE`: boots Debian's Linux, where four clients wait in a trusted
 * application on OP-TEE's two threads while a fifth opens a session, and prints what the kernel's tracepoints recorded,
 * in the format of the `trace` file. With `--untracked`, OP-TEE does not report its number of threads.
 */
import { parseArgs } from 'node:util';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { linuxConsole } from './boot.js';
import { prepareLinux } from './prepare.js';

const silenceLimitMs = 120_000;

const { values } = parseArgs({ options: { untracked: { type: 'boolean', default: false } } });
const args = await prepareLinux((text) => process.stderr.write(`${text}\n`), {
  init: 'client.c',
  words: ['trace'],
  files: new Map(),
  trustedApplications: [opteeFolder().trustedApplications],
  world: values.untracked ? 'linux-untracked.S' : 'linux.S',
});
for await (const line of linuxConsole(args, silenceLimitMs)) {
  if (line === '@done') break;
  if (line.startsWith('@trace ')) console.log(line.slice('@trace '.length));
}
