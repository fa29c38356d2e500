import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findingText } from '../../src/fuzz/engine/finding-file.js';
import { targetNamed } from '../../src/fuzz/open-target.js';
import { OpteeMachine } from '../../src/fuzz/optee/optee-machine.js';
import { rawTarget } from '../../src/fuzz/raw/raw-target.js';
import { sims } from '../regression/sims.js';
import { OsTestCommand, osTest, teeUuid } from '../support/optee-test-applications.js';
import { builtWith, onRealOptee, folder as optee, whyNot } from '../worlds/qemu/real-optee.js';

const command = resolve(import.meta.dirname, '../../dist/cli/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'normalworld-fuzz-optee-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const normalworld = (...args: string[]) =>
  spawnSync(process.execPath, [command, ...args], { cwd: scratch, encoding: 'utf8' });

describe.skipIf(whyNot !== undefined)(onRealOptee('fuzzing'), () => {
  it('executes inputs on a pseudo-TA, keeps those that reach new code, and continues in a later run', {
    timeout: 240_000,
  }, () => {
    const args = ['fuzz', 'pta', 'd96a5b40-c3e5-21e3-8794-1002a5d5c61b', '--execs', '30', '--folder', 'pta', '--json'];
    const first = JSON.parse(normalworld(...args).stdout);
    // It may already have found what kills OP-TEE (docs/findings.md); then OP-TEE is booted again.
    expect(first.target).toBe('pta');
    expect(first.executions).toBeGreaterThanOrEqual(30);
    expect(first.edges).toBeGreaterThan(200);
    expect(readdirSync(join(scratch, 'pta/corpus')).length).toBe(first.corpus);
    const second = JSON.parse(normalworld(...args).stdout);
    expect(second.executions).toBeGreaterThanOrEqual(first.executions + 30);
  });

  it('reproduces a finding: the core of OP-TEE 4.5 panics when an application opens a session to itself', {
    timeout: 240_000,
  }, () => {
    const octets = Buffer.from(teeUuid(sims)).toString('hex');
    const finding = {
      ...{
        target: { name: 'ta', uuid: sims },
        on: 'OP-TEE 4.5',
        kind: 'core-panic',
        before: [],
        came: { times: 3, tries: 3 },
      },
      signature: 'Panic at core/kernel/tee_ta_manager.c:168 <tee_ta_set_busy>',
      steps: [{ kind: 'invoke', session: 0, command: 5, parameters: [{ kind: 'memref', direction: 'input', octets }] }],
    };
    writeFileSync(join(scratch, 'finding.json'), findingText(finding));
    const { stdout, status } = normalworld('replay', 'finding.json');
    expect(stdout).toContain(`1. invoke command 5 in session 0 with memref.input of 16 octets ${octets}`);
    expect(stdout).toMatch(/core-panic: OP-TEE's core panicked: Panic at .*<tee_ta_set_busy>/);
    // Its line is another in other versions.
    if (optee.path.endsWith('/optee') && builtWith('CFG_UNWIND') === 'y') expect(status).toBe(0);
  });

  it('loads an application again with the input that it died of, not with the next one', {
    timeout: 120_000,
  }, async () => {
    const target = targetNamed('ta', osTest, {
      optee: { image: optee.image, taFolders: [optee.trustedApplications] },
    });
    await using harness = await target.open();
    const edgesOf = async (command: number) => {
      await harness.execute({ steps: [{ kind: 'invoke', session: 0, command, parameters: [] }] });
      let edges = 0;
      harness.drain(() => edges++);
      return edges;
    };
    const unknown = 1000;
    const loaded = await edgesOf(unknown);
    const usual = await edgesOf(unknown);
    expect(usual).toBeLessThan(loaded / 2);
    expect(await edgesOf(OsTestCommand.panic)).toBeGreaterThan(loaded / 2);
    expect(await edgesOf(unknown)).toBeLessThan(loaded / 2);
  });

  it('restarts OP-TEE when an application waits for days, and nothing can end its wait', {
    timeout: 120_000,
  }, async () => {
    const target = targetNamed('ta', osTest, {
      optee: { image: optee.image, taFolders: [optee.trustedApplications] },
    });
    await using harness = await target.open();
    // os_test has another os_test wait. The client's end cancels the call of the first one alone.
    const parameters = [{ kind: 'value', direction: 'input', a: 2 ** 32 - 2, b: 0 }];
    const invoke = { kind: 'invoke', session: 0, command: OsTestCommand.clientWithTimeout, parameters };
    expect(await harness.execute({ steps: [invoke] })).toEqual([]);
    expect(harness.isDead).toBe(true);
  });

  it.each(['message', 'smc'] as const)(
    'sends inputs of target %s, and everything is released',
    { timeout: 240_000 },
    async (name) => {
      const target = rawTarget(name, {
        boot: () => OpteeMachine.boot({ image: optee.image, taFolders: [] }),
        isTimed: true,
        applications: ['d96a5b40-c3e5-21e3-8794-1002a5d5c61b', '7011a688-ddde-4053-a5a9-7b3c4ddf13b8'],
        secureAddress: 0x0e00_0000,
      });
      await using harness = await target.open();
      for (const input of target.seeds) {
        expect(await harness.execute(input)).toEqual([]);
        let edges = 0;
        harness.drain(() => edges++);
        expect(edges).toBeGreaterThan(50);
      }
      expect(harness.isDead).toBe(false);
    },
  );
});

describe('the command', () => {
  it.each<[string, string[], RegExp]>([
    ['a target that there is none of', ['nothing'], /there is no target "nothing"; allowed: ta, pta/],
    ['a missing UUID', ['ta'], /target ta needs the UUID of an application/],
    ['a UUID that has no place', ['smc', sims], /target smc takes no UUID/],
    ['what is no UUID', ['ta', 'sims'], /not a UUID/],
    [
      'commands for what has none',
      ['smc', '--commands', 'x.yaml'],
      /--commands is for targets that test an application/,
    ],
  ])('refuses %s', (_, args, says) => {
    const { stderr, status } = normalworld('fuzz', ...args);
    expect(stderr).toMatch(says);
    expect(status).toBe(2);
  });

  it.each<[string, string, RegExp]>([
    ['is broken off', '{"format": "normalworld-fuzz/1", ', /not JSON/],
    ['is of a later format', '{"format": "normalworld-fuzz/9"}', /format/],
    ['lacks its steps', '{"format": "normalworld-fuzz/1", "target": {"name": "smc"}}', /on|kind|steps/],
  ])('refuses a finding that %s', (_, text, says) => {
    writeFileSync(join(scratch, 'wrong.json'), text);
    const { stderr, status } = normalworld('replay', 'wrong.json');
    expect(stderr).toMatch(says);
    expect(status).toBe(2);
  });
});
