import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A run that says nothing for so long hangs. */
const silenceLimitMs = 120_000;

/**
 * Boot Linux once and take what its client prints.
 * @param {string[]} args QEMU's, from `prepareLinux`.
 * @returns {Promise<Record<string, number>>} rates per second and latencies in milliseconds, by key.
 */
export async function linuxFigures(args) {
  const start = performance.now();
  const qemu = spawn('qemu-system-aarch64', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(qemu, 'exit');
  const watchdog = setTimeout(() => qemu.kill('SIGKILL'), silenceLimitMs);
  const figures = {};
  try {
    for await (const line of createInterface({ input: qemu.stdout })) {
      watchdog.refresh();
      const [, key, value] = /^@(\w+) ?(.*?)\r?$/.exec(line) ?? [];
      if (key === 'failed') throw new Error(`Linux: ${value}`);
      if (key === 'done') return figures;
      // What happened rather than what was measured: the time is taken here.
      if (key !== undefined) figures[key] = value === '' ? performance.now() - start : Number(value);
    }
    throw new Error('Linux ended before its client was done');
  } finally {
    clearTimeout(watchdog);
    qemu.kill('SIGKILL');
    await exited;
  }
}
