import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addExploreCommand } from '../../src/cli/explore/explore.js';
import { addReplayCommand } from '../../src/cli/explore/replay.js';
import { PROPERTY_NAMES } from '../../src/explore/queue/properties/properties.js';
import { readTraceFile } from '../../src/trace/node/trace-file.js';

let output: string[];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'explore-'));
  output = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void output.push(line));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
});

/** Runs a command line; an error that it reports is thrown. */
async function normalworld(...args: string[]): Promise<string> {
  const program = new Command();
  addExploreCommand(program);
  addReplayCommand(program);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
  }
  await program.parseAsync(args, { from: 'user' });
  return output.splice(0).join('\n');
}

const V6 = ['explore', '--queue', 'patch-v6', '--threads', '2', '--secure-threads', '2', '--reservations', '1'];

describe('normalworld explore', () => {
  it('prints one JSON object with a verdict on every property', async () => {
    const report = JSON.parse(await normalworld(...V6, '--callers', 'N,S,S', '--json'));
    expect(report).toMatchObject({
      queue: 'patch-v6',
      threads: 2,
      secureThreads: 2,
      reservations: 1,
      callers: 'N,S,S',
    });
    expect(report.states).toBe(204);
    expect(report.seconds).toBeGreaterThan(0);
    expect(Object.keys(report.properties)).toEqual(PROPERTY_NAMES);
    expect(report.properties.lostWakeUp).toMatchObject({ verdict: 'broken', steps: 13 });
    expect(report.properties.lostWakeUp.schedule).toHaveLength(13);
    expect(report.properties.lostWakeUp.schedule[0]).toMatchObject({ n: 0, op: 'begin', result: { rc: 0 } });
    expect(report.properties.conservation).toEqual({ verdict: 'holds', steps: null, schedule: [] });
    expect(report.properties.unboundedOvertaking).toMatchObject({ verdict: 'holds', vacuous: 'no caller repeats' });
  });

  it('prints each schedule as a table with descriptions', async () => {
    const text = await normalworld(...V6, '--callers', 'N,S,S');
    expect(text).toMatch(/lostWakeUp +broken in 13 steps/);
    expect(text).toMatch(/0 N +SMC: ETHREAD_LIMIT/);
    expect(text).toContain('leaves the queue: wakes no caller');
  });

  it('writes each schedule as a file that replay can run', async () => {
    await normalworld(...V6, '--callers', 'N,S,S', '--traces', folder);
    expect(readdirSync(folder)).toContain('patch-v6-lostWakeUp.json');
    const text = await normalworld('replay', join(folder, 'patch-v6-lostWakeUp.json'));
    expect(text).toContain('lostWakeUp: a caller sleeps for ever although no call is in flight');
    const json = JSON.parse(await normalworld('replay', '--json', join(folder, 'patch-v6-lostWakeUp.json')));
    expect(json).toMatchObject({ queue: 'patch-v6', broken: ['lostWakeUp', 'normalSleepsBesideFreeThread'] });
    expect(json.steps).toHaveLength(13);
  });

  it.each([
    [['--callers', 'N,Q'], '"Q" is not an operation'],
    [['--callers', 'N', '--queue', 'linux-9'], 'Allowed choices are linux-6.7'],
    [['--callers', 'N', '--threads', '-1'], 'a number from 0 to 8'],
    [['--callers', 'N', '--threads', '0'], '--threads 0 needs --secure-threads'],
    [['--callers', 'N', '--reservations', '4'], 'a number from 0 to 3'],
    [['my.yaml', '--callers', 'N'], '--callers is for the search without a scenario'],
    [['my.yaml', '--fine'], '--fine is for the search without a scenario'],
    [['--callers', 'N', '--decisions', '1'], '--decisions is for the search of a scenario'],
    [['--callers', 'N>1,N>0'], 'caller 0 needs 1 needs 0: they wait for each other for ever'],
    [['--callers', 'N>0'], 'caller 0 needs 0: it waits for itself'],
    [['--callers', 'N>1,N>2,N!'], 'caller 0 needs 1 needs 2: caller 2 never finishes'],
    [['--callers', 'N>1,N*'], 'caller 1 never finishes'],
    [['x.yaml', '--seeds', '3..1'], 'two whole numbers'],
    [['--callers', '13*N'], '13 callers'],
    [
      ['x.yaml', '--faults', 'drop,lightning'],
      '"lightning" is not a fault; faults are drop, late, duplicate, corrupt, panic, hang, con',
    ],
    [[], 'give the operations of the callers (--callers), or a scenario'],
    [['--callers', 'N', '--kernel', '4.9'], 'Linux 4.9 has no driver for OP-TEE'],
    [['--callers', 'N', '--kernel', '6.6', '--queue', 'hand-off'], 'cannot be used with'],
  ])('refuses %j', async (args, message) => {
    await expect(normalworld('explore', ...args)).rejects.toThrow(message);
  });

  it.each([
    ['holds', 'hand-off', undefined],
    ['broken', 'hand-off', 1],
    ['holds', 'patch-v6', 1],
    ['broken', 'patch-v6', undefined],
  ])('with --expect %s, ends with the right exit code under %s', async (verdict, queue, code) => {
    process.exitCode = undefined;
    await normalworld('explore', '--queue', queue, '--reservations', '1', '--callers', 'N,S,S', '--expect', verdict);
    const ended = process.exitCode;
    process.exitCode = undefined;
    expect(ended).toBe(code);
  });

  it('does not report a bounded search as a proof', async () => {
    process.exitCode = undefined;
    const args = ['explore', '--callers', '3*N,2*S', '--max-states', '10', '--expect'];
    await normalworld(...args, 'holds');
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
    await normalworld(...args, 'unbroken');
    expect(process.exitCode).toBeUndefined();
  });

  it('explores a secure world that has no thread at all', async () => {
    const text = await normalworld('explore', '--queue', 'linux-6.8', '--secure-threads', '0', '--callers', 'N');
    expect(text).toMatch(/lostWakeUp +broken/);
  });

  it('reports properties that no state of the search could violate', async () => {
    expect(await normalworld('explore', '--callers', 'N')).toMatch(
      /lostWakeUp +holds, but not tried: no call ever sleeps/,
    );
  });

  it('reports properties that no run of the whole driver could violate', async () => {
    const file = join(folder, 'stuck.yaml');
    writeFileSync(
      file,
      'title: stuck\napplications: { ta: { kind: user, commands: { go: [{ rpc: fs }] } } }\n' +
        'services: { fs: { steps: [{ invoke: { client: two, command: go } }] } }\n' +
        'clients: { one: { application: ta, steps: [{ invoke: go }] }, two: { application: ta, kernel: true, passive: true } }\n',
    );
    const stuck = await normalworld('explore', file);
    expect(stuck).toMatch(/finished +broken in first-come, first-served order$/m);
    expect(stuck).toMatch(/usableAgain +\w+, but not tried: in no run did all clients finish/);
    expect(stuck).toMatch(/resourcesReleased +\w+, but not tried: in no run did all clients finish/);
    writeFileSync(file, ONE);
    const fine = await normalworld('explore', file);
    expect(fine).toMatch(/usableAgain +holds$/m);
    expect(fine).toMatch(/exitedAfterCalls +holds, but not tried: no client dies/);
    const deaths = await normalworld('explore', file, '--faults', 'client-death', '--deviations', '1');
    expect(deaths).toMatch(/exitedAfterCalls +(?:holds|bounded)$/m);
  });

  const ONE =
    'title: one\napplications: { ta: { kind: user, commands: { go: [{ compute: 1ms }] } } }\n' +
    'clients: { one: { application: ta, count: 2, steps: [{ invoke: go }] } }\n';

  it.each([
    ['9999', 'decision 0 is 9999, but there are 2 choices, 0 to 1'],
    ['0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1', 'but the run has'],
  ])('refuses decisions that do not match the run: %s', async (list, message) => {
    const file = join(folder, 'one.yaml');
    writeFileSync(file, ONE);
    const error = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    await expect(normalworld('explore', file, '--decisions', list)).rejects.toThrow(message);
    error.mockRestore();
  });

  it('records the run of given decisions, and every counterexample', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const file = join(folder, 'one.yaml');
    writeFileSync(file, ONE);
    const path = join(folder, 'one.nwt');
    await normalworld('explore', file, '--decisions', '1', '--trace', path);
    expect((await readTraceFile(path)).length).toBeGreaterThan(10);
    const short = 'scenarios/explore/one-thread-short.yaml';
    await normalworld('explore', short, '--queue', 'linux-6.8', '--workers', '1', '--traces', folder);
    expect(readdirSync(folder)).toContain('linux-6.8-finished.nwt');
  });

  it('explores the queue that a kernel has', async () => {
    const file = join(folder, 'one.yaml');
    writeFileSync(file, ONE);
    expect(await normalworld('explore', file, '--kernel', '6.6.30-yocto')).toMatch(/^one: linux-6\.7, /);
    expect(await normalworld('explore', '--callers', 'N', '--kernel', '6.12')).toMatch(/^linux-6\.8: /);
  });

  it('explores with several seeds, and reports which were tried', async () => {
    const file = join(folder, 'one.yaml');
    writeFileSync(file, ONE);
    const text = await normalworld('explore', file, '--seeds', '3..4');
    expect(text).toContain('seed 3');
    expect(text).toContain('seed 4');
    expect(text).toContain('for the times of seeds 3 to 4.');
    expect(await normalworld('explore', file, '--seed', '2')).toContain(
      'for the times of seed 2. Faults (--faults), other',
    );
  });

  it('injects faults into a scenario, and shows a run with a fault', async () => {
    const file = join(folder, 'one.yaml');
    writeFileSync(
      file,
      'title: one\napplications: { ta: { kind: user, commands: { go: [{ rpc: fs }] } } }\n' +
        'services: { fs: { steps: [{ wait: 1ms }] } }\nclients: { one: { application: ta, steps: [{ invoke: go }] } }\n',
    );
    const explored = await normalworld('explore', file, '--faults', 'drop,client-death', '--deviations', '1');
    expect(explored).toContain('Faults: drop, client-death; at most 1 in a run.');
    expect(explored).toMatch(/failuresExplained +bounded/);
    expect(explored).not.toContain('broken');
    const shown = await normalworld('explore', file, '--faults', 'drop', '--decisions', '0,0,1');
    expect(shown).toMatch(/call 1: the answer to \w+ is dropped/);
    expect(shown).toContain('This run breaks no property.');
  });

  it('says why a file cannot be replayed', async () => {
    await expect(normalworld('replay', join(folder, 'none.json'))).rejects.toThrow('ENOENT');
  });
});
