import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exploreScenario } from '../../../src/explore/driver/explore-scenario.js';
import type { FaultKind } from '../../../src/explore/driver/fault-choices.js';
import { RUN_PROPERTY_NAMES } from '../../../src/explore/driver/properties/run-checks.js';
import { parseScenario } from '../../../src/scenario/file/scenario-file.js';

const shipped = (name: string) =>
  parseScenario(readFileSync(resolve(import.meta.dirname, '../../../scenarios/explore', name), 'utf8'), name);

async function broken(name: string, kinds: readonly FaultKind[] = [], maxRuns = 300) {
  const faults = { kinds, most: kinds.length === 0 ? 0 : 1 };
  const scenario = shipped(name);
  const found = await exploreScenario(scenario, {
    queue: 'hand-off',
    strategy: 'deviations',
    seed: 1,
    maxRuns,
    faults,
    goOn: true,
  });
  const verdicts = RUN_PROPERTY_NAMES.filter((each) => found.properties[each].verdict === 'broken');
  return {
    verdicts,
    what: verdicts.map((each) => found.properties[each].what),
    runs: found.runs,
    complete: found.complete,
  };
}

describe('sessions, memory and interrupts that change during calls', () => {
  it.each(['memory-freed-meanwhile.yaml', 'interrupt-while-fetching.yaml', 'one-call.yaml'])(
    '%s violates no property in any order',
    async (name) => {
      expect(await broken(name)).toMatchObject({ verdicts: [], what: [], complete: true });
    },
  );

  it.each([
    'session-closed-meanwhile.yaml',
    'system-session-meanwhile.yaml',
    'asked-twice.yaml',
    'bottom-half-twice.yaml',
  ])('%s violates no property in many orders', async (name) => {
    expect(await broken(name, [], 100)).toMatchObject({ verdicts: [], what: [], runs: 100 });
  });

  it.each<[string, readonly FaultKind[]]>([
    ['one-call.yaml', ['corrupt']],
    ['one-call.yaml', ['panic']],
    ['one-call.yaml', ['drop', 'late', 'duplicate', 'supplicant', 'client-death']],
    ['interrupt-while-fetching.yaml', ['panic', 'corrupt']],
    ['memory-freed-meanwhile.yaml', ['panic', 'corrupt', 'client-death']],
    ['system-session-meanwhile.yaml', ['hang']],
  ])('%s violates none with the faults %j', async (name, kinds) => {
    expect(await broken(name, kinds, 150)).toMatchObject({ verdicts: [], what: [] });
  });
});
