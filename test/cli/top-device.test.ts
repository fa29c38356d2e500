import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryRecorder } from '../../src/trace/index.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const names = ['optee_invoke_fn_begin', 'optee_invoke_fn_end'];

/** A folder in the place of tracefs, with the instance that is made there; what the kernel says comes through a FIFO. */
describe('normalworld top --device', () => {
  let tracefs: string;
  let instance: string;
  let child: ChildProcess | undefined;
  beforeEach(() => {
    tracefs = mkdtempSync(join(tmpdir(), 'normalworld-tracefs-'));
    instance = join(tracefs, 'instances/normalworld');
  });
  afterEach(async () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    rmSync(tracefs, { recursive: true });
  });

  const lay = () => {
    for (const name of names) {
      mkdirSync(join(instance, 'events/optee', name), { recursive: true });
      writeFileSync(join(instance, 'events/optee', name, 'enable'), '0');
    }
    writeFileSync(join(instance, 'trace_clock'), '[local] mono');
    spawnSync('mkfifo', [join(instance, 'trace_pipe')]);
  };
  const enabled = () => names.map((name) => readFileSync(join(instance, 'events/optee', name, 'enable'), 'latin1'));
  const follow = (...args: string[]) => {
    const started = spawn(process.execPath, [main, 'top', '--device', '--tracefs', tracefs, '-i', '0.1', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    return { started, lines: createInterface({ input: started.stdout })[Symbol.asyncIterator]() };
  };
  /** The first screen of which something holds. */
  const screen = async (
    lines: AsyncIterator<string>,
    holds: (screen: { calls: unknown[]; ended: number }) => boolean,
  ) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('it has ended');
      const shown = JSON.parse(value) as { calls: unknown[]; ended: number };
      if (holds(shown)) return shown;
    }
  };
  const once_ = (...args: string[]) =>
    spawnSync(process.execPath, [main, 'top', '--device', '--once', '--tracefs', tracefs, ...args], {
      encoding: 'utf8',
    });
  const now = () => (Number(process.hrtime.bigint()) / 1e9).toFixed(6);
  const line = (task: string, what: string) => `  ${task} [001] .....  ${now()}: ${what}\n`;

  it('switches the tracepoints on, shows the calls of the kernel, and switches them off', async () => {
    lay();
    const { started, lines } = follow('--json');
    await screen(lines, () => true);
    expect(enabled()).toEqual(['1', '1']);
    expect(readFileSync(join(instance, 'trace_clock'), 'latin1')).toMatch(/^mono/);
    const pipe = openSync(join(instance, 'trace_pipe'), 'w');
    const begun = line('xtest-301', `${names[0]}: param=0000000012345678 (32000013, 1, 2, 0, 0, 0, 0, 0)`);
    writeSync(pipe, begun.slice(0, 30));
    writeSync(pipe, begun.slice(30));
    const inside = await screen(lines, ({ calls }) => calls.length === 1);
    expect(inside).toMatchObject({ inSecureWorld: 1, calls: [{ client: 'xtest-301', doing: 'in secure world' }] });
    writeSync(pipe, line('xtest-301', `${names[1]}: param=0000000012345678 ret (ffff0005, 0, 0, 2)`));
    writeSync(pipe, 'CPU:1 [LOST 12 EVENTS]\n');
    const suspended = await screen(lines, ({ calls }) => JSON.stringify(calls).includes('RPC'));
    expect(suspended).toMatchObject({ calls: [{ thread: 2 }] });
    writeSync(pipe, line('xtest-301', `${names[0]}: param=0000000012345678 (32000003, 0, 0, 2, 0, 0, 0, 0)`));
    writeSync(pipe, line('xtest-301', `${names[1]}: param=0000000012345678 ret (0, 0, 0, 0)`));
    expect(await screen(lines, ({ ended }) => ended === 1)).toMatchObject({ calls: [] });
    closeSync(pipe);
    started.kill('SIGINT');
    const [code] = await once(started, 'exit');
    expect([code, enabled()]).toEqual([0, ['0', '0']]);
  });

  it("shows a program's own calls beside those of the kernel", () => {
    lay();
    const file = join(tracefs, 'own.nwt');
    const recorder = new MemoryRecorder();
    recorder.describe({ clock: 'machine', world: 'linux' });
    recorder.record(1, 100, 1, 1, 1, 0, 'client 7');
    writeFileSync(file, recorder.toBytes());
    const { status, stdout } = once_(file);
    expect(status).toBe(0);
    expect(stdout).toMatch(/own\.nwt: linux\n/);
    expect(stdout).toMatch(/this machine: Linux, its tracepoints\n/);
    expect(stdout).toMatch(/client 7: on its way/);
    expect(enabled()).toEqual(['0', '0']);
  });

  it('switches them off when a signal ends it', async () => {
    lay();
    const { started, lines } = follow('--json');
    await screen(lines, () => true);
    started.kill('SIGTERM');
    const [code] = await once(started, 'exit');
    expect([code, enabled()]).toEqual([143, ['0', '0']]);
  });

  it('says that the kernel has no such tracepoints, and leaves no instance', () => {
    mkdirSync(join(tracefs, 'instances'));
    const { status, stderr } = once_();
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/no tracepoints optee_invoke_fn_begin.*modprobe optee/),
    ]);
    expect(existsSync(instance)).toBe(false);
  });

  it('says that tracefs is not mounted', () => {
    const { status, stderr } = once_();
    expect([status, stderr]).toEqual([1, expect.stringMatching(/there is no tracefs at .*mount -t tracefs/)]);
  });

  it.skipIf(process.geteuid?.() !== 0 || spawnSync('setpriv', ['--version']).status !== 0)(
    'says that this user has no permission',
    () => {
      mkdirSync(join(tracefs, 'instances'), { mode: 0o700 });
      const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, main];
      const { status, stderr } = spawnSync(
        'setpriv',
        [...asNobody, 'top', '--device', '--once', '--tracefs', tracefs],
        {
          encoding: 'utf8',
        },
      );
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/not accessible to this user \(EACCES\): root is required/),
      ]);
    },
  );

  it.each([
    [['top'], /a trace file or --device is required/],
    [['top', '--device', 'out.nwt'], /put a trace file before --device/],
    [['top', 'out.nwt', '--tracefs', '/x'], /--tracefs requires --device/],
  ])('refuses %j', (args, words) => {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([2, expect.stringMatching(words)]);
  });
});
