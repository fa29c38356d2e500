import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTee } from '../../../src/index.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeSmc } from '../../../src/protocol/optee-smc.js';
import { until } from '../../support/until.js';
import { folder, onRealOptee, startWorld, whyNot } from './real-optee.js';

const program = fileURLToPath(new URL('start-world.js', import.meta.url));
const shipped = fileURLToPath(new URL('../../../firmware/normalworld.bin', import.meta.url));

/** Processes with the path in their command line, but for `except`. */
function processesWith(path: string, except?: number): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === except) return false;
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(path);
    } catch {
      return false;
    }
  });
}

/** Processor time that a process has used, in hundredths of a second (proc(5), utime and stime). */
function processorTime(pid: string): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Resolves when the program says that it has reached the stage. */
async function stageReached(child: ChildProcess, stage: string): Promise<void> {
  if (child.stdout === null) throw new Error('no output to read');
  for await (const line of createInterface({ input: child.stdout })) if (line === stage) return;
  throw new Error(`the program ended before it was ${stage}`);
}

describe.skipIf(whyNot !== undefined)(onRealOptee('the start and end of a QEMU world'), () => {
  let scratch: string;
  /** A name of our own, by which the processes of this test are told from others'. */
  let firmware: string;
  beforeAll(async () => {
    expect(existsSync(new URL('../../../dist', import.meta.url)), 'npm run build goes before').toBe(true);
    scratch = await mkdtemp(join(tmpdir(), 'normalworld-'));
    firmware = join(scratch, 'firmware.bin');
    await copyFile(shipped, firmware);
  });
  afterAll(async () => {
    await rm(scratch, { recursive: true });
  });

  it('uses the fetched OP-TEE if the image is undefined', async () => {
    const image = { optee: process.env.NORMALWORLD_NO_SUCH_VARIABLE } as object;
    await using tee = await openTee({ world: 'qemu', qemu: image });
    expect(tee.revision).toMatch(/^\d/);
  });

  it.each(['spawning', 'booting', 'idle', 'calling'])(
    'leaves nothing behind when its process is killed while %s',
    async (stage) => {
      const child = spawn(process.execPath, [program, firmware], { stdio: ['ignore', 'pipe', 'inherit'] });
      if (stage === 'spawning') await until(() => processesWith(firmware, child.pid).length > 0);
      else await stageReached(child, stage);
      const closed = once(child, 'exit');
      child.kill('SIGKILL');
      await closed;
      await until(() => processesWith(firmware).length === 0);
    },
  );

  it('leaves nothing behind after 50 starts and stops', async () => {
    const files = readdirSync('/dev/shm');
    for (let run = 0; run < 50; run++) {
      await using world = await startWorld({ firmware, cpus: 1 + (run % 4) });
      expect(await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount))).toMatchObject({ a0: 0, a1: 2 });
    }
    expect(processesWith(firmware)).toEqual([]);
    expect(readdirSync('/dev/shm').filter((name) => !files.includes(name) && name.includes('normalworld'))).toEqual([]);
  });

  it('waits for an OP-TEE image that is still being loaded when QEMU has started', async () => {
    const late = join(scratch, 'late.bin');
    spawnSync('mkfifo', [late]);
    const started = startWorld({ firmware, optee: late });
    // Five times what QEMU needs to its first instruction.
    await until(() => processesWith(firmware).some((pid) => processorTime(pid) >= 20));
    await writeFile(late, await readFile(folder.image));
    await using world = await started;
    expect(await world.conduit.smc(smcRegisters(OpteeSmc.getThreadCount))).toMatchObject({ a0: 0, a1: 2 });
  });

  it('ends a script in place of QEMU when it closes', async () => {
    const script = join(scratch, 'wrapper.sh');
    await writeFile(script, '#!/bin/sh\nqemu-system-aarch64 "$@"\nexit $?\n', { mode: 0o755 });
    const world = await startWorld({ firmware, qemu: script });
    // The script, and QEMU below it.
    expect(processesWith(firmware).length).toBeGreaterThan(1);
    await world[Symbol.asyncDispose]();
    await until(() => processesWith(firmware).length === 0);
  });

  it('ends a script that calls exec when its process is killed', async () => {
    const script = join(scratch, 'exec.sh');
    await writeFile(script, '#!/bin/sh\nexec qemu-system-aarch64 "$@"\n', { mode: 0o755 });
    const child = spawn(process.execPath, [program, firmware, script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await stageReached(child, 'calling');
    const closed = once(child, 'exit');
    child.kill('SIGKILL');
    await closed;
    await until(() => processesWith(firmware).length === 0);
  });

  it('leaves nothing behind if the image cannot be loaded while QEMU waits for it', async () => {
    await expect(startWorld({ firmware, optee: '/no/optee' })).rejects.toThrow('no OP-TEE image: ENOENT');
    expect(processesWith(firmware)).toEqual([]);
  });

  it('releases its memory, and existing views of it stay valid', async () => {
    const world = await startWorld({ firmware });
    const window = world.memory.window(world.normalWorldRam[0]?.base ?? 0, 4096);
    window.fill(0x5a);
    const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes('memfd:normalworld');
    expect(mapped()).toBe(true);
    await world[Symbol.asyncDispose]();
    expect(mapped()).toBe(false);
    window.fill(1);
    expect(window[0]).toBe(1);
  });
});
