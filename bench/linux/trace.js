/**
 * `node bench/linux/trace.js [--untracked] > FILE`: boots Debian's Linux, lets four clients wait in a trusted application on
 * OP-TEE's two threads while a fifth opens a session, and prints what the kernel's tracepoints recorded of it, as its
 * `trace` file has it. With `--untracked` OP-TEE does not tell how many threads it has.
 */
import { parseArgs } from 'node:util';
import { linuxSays } from './boot.js';
import { prepareLinux } from './prepare.js';

const { values } = parseArgs({ options: { untracked: { type: 'boolean', default: false } } });
const world = values.untracked ? 'linux-untracked.S' : 'linux.S';
const args = await prepareLinux((text) => process.stderr.write(`${text}\n`), 'trace', { world });
for await (const { key, value } of linuxSays(args)) if (key === 'trace') process.stdout.write(`${value}\n`);
