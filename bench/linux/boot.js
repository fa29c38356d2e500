import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endWithParent } from '../../dist/worlds/qemu/end-with-parent.js';

/**
 * Boot Linux once and yield each line of its console. Linux is ended when the caller stops iterating, or with this
 * process, also when that is killed.
 * @param {readonly string[]} args QEMU's arguments, from `prepareLinux`.
 * @param {number} silenceLimitMs a run without output for this long counts as hung and is ended.
 * @throws Error if init reports a failure, or ends before the caller has stopped.
 */
export async function* linuxConsole(args, silenceLimitMs) {
  const qemu = spawn(...endWithParent('qemu-system-aarch64', args), { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(qemu, 'exit');
  const watchdog = setTimeout(() => qemu.kill('SIGKILL'), silenceLimitMs);
  try {
    for await (const line of createInterface({ input: qemu.stdout })) {
      watchdog.refresh();
      const text = line.replace(/\r*$/, '');
      if (text.startsWith('@failed ')) throw new Error(`Linux: ${text.slice('@failed '.length)}`);
      yield text;
    }
    throw new Error('Linux ended before its init was done');
  } finally {
    clearTimeout(watchdog);
    qemu.kill('SIGKILL');
    await exited;
  }
}
