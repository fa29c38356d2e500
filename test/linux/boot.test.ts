import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/until.js';

const boot = fileURLToPath(new URL('../../bench/linux/boot.js', import.meta.url));
const program = `
  import { linuxConsole } from ${JSON.stringify(boot)};
  for await (const line of linuxConsole([], 600_000)) console.log(line);
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-boot-'));
  // A QEMU that says which process it is, and does not end by itself.
  writeFileSync(join(folder, 'qemu-system-aarch64'), '#!/bin/sh\necho "pid $$"\nexec sleep 600\n');
  chmodSync(join(folder, 'qemu-system-aarch64'), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a Linux booted for a measurement', () => {
  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('ends with its process, by %s', async (signal) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [text] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const pid = Number(/^pid (\d+)$/m.exec(text)?.[1]);
    expect(isAlive(pid)).toBe(true);
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    await until(() => !isAlive(pid));
  });
});

/** Whether a process runs; one that ended and was not waited for has no command line. */
function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false;
  }
}
