import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Boot Linux once, and give each line of its console; when the caller has enough, Linux ends.
 * @param {readonly string[]} args QEMU's, from `prepareLinux`.
 * @param {number} silenceLimitMs a run that says nothing for so long hangs, and is ended.
 * @throws Error when init says that something failed, or ends before the caller is done.
 */
export async function* linuxConsole(args, silenceLimitMs) {
  const qemu = spawn('qemu-system-aarch64', args, { stdio: ['ignore', 'pipe', 'inherit'] });
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
