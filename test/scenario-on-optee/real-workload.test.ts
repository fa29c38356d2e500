import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { realWorkload } from '../../src/scenario-on-optee/real-workload.js';

const flagship = readFileSync(new URL('../../scenarios/rpmb-scmi-deadlock.yaml', import.meta.url), 'utf8');
const workload = (text: string) => realWorkload(parseScenario(text, 'scenario.yaml'));

describe('a scenario for the real OP-TEE', () => {
  it('is the workload of the file, if OP-TEE supports it', () => {
    expect(workload(flagship)).toMatchObject({
      abi: 'smc',
      threads: 3,
      access: 1,
      needs: ['vmmc', 'emmc-clock'],
      transport: 'msg',
      clients: [{ name: 'storage', count: 6, repeat: 10, steps: [{ step: 'write' }, { step: 'wait' }] }],
    });
  });

  it.each([
    [
      'an application of its own',
      'modelled: { kind: user, commands: { sign: [{ compute: 3ms }] } }',
      'application modelled, whose',
    ],
    ['another one of the simulation', 'modelled: { use: counter }', 'application modelled (counter)'],
  ])('is refused with %s', (_what, application, says) => {
    const text = flagship.replace('applications:\n', `applications:\n  ${application}\n`);
    expect(() => workload(text)).toThrow(`this scenario cannot be run on the real OP-TEE: it has ${says}`);
  });

  it.each([
    ['reads', '{ invoke: write }', '{ invoke: read }', 'client storage, which invokes read: only write is supported'],
    ['no end', 'repeat: 10', 'repeat: forever', 'client storage, which repeats for ever'],
    ['a period', 'repeat: 10', 'repeat: 10\n    every: 10ms', 'client storage with a period'],
  ])('is refused with clients that have %s', (_what, from, to, says) => {
    expect(() => workload(flagship.replace(from, to))).toThrow(says);
  });
});
