import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A run that says nothing for so long hangs. */
const silenceLimitMs = 120_000;

/**
 * Boot Linux once and give what its client says, until it is done: lines `@key value` of the console.
 * @param {string[]} args QEMU's, from `prepareLinux`.
 * @returns {AsyncGenerator<{ key: string, value: string }>}
 */
export async function* linuxSays(args) {
  const qemu = spawn('qemu-system-aarch64', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(qemu, 'exit');
  const watchdog = setTimeout(() => qemu.kill('SIGKILL'), silenceLimitMs);
  try {
    for await (const line of createInterface({ input: qemu.stdout })) {
      watchdog.refresh();
      const [, key, value] = /^@(\w+) ?(.*?)\r*$/.exec(line) ?? [];
      if (key === 'failed') throw new Error(`Linux: ${value}`);
      if (key === 'done') return;
      if (key !== undefined) yield { key, value };
    }
    throw new Error('Linux ended before its client was done');
  } finally {
    clearTimeout(watchdog);
    qemu.kill('SIGKILL');
    await exited;
  }
}
