import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completionsAt } from '../../playground/src/complete.js';
import { scenarioJsonSchema } from '../../src/scenario/file/json-schema.js';

const schema = scenarioJsonSchema();

/** What is offered where the text has a |. */
function offered(text: string): string[] {
  const found = completionsAt(schema, text.replace('|', ''), text.indexOf('|'));
  return found?.options.map(({ label }) => label) ?? [];
}

const file = `title: t
locks: { clk: {}, host: {} }
applications:
  ta: { kind: user, commands: { go: [{ compute: 1ms }], stop: [] } }
  other: { kind: pseudo, commands: {} }
clients:
  app: { application: ta, steps: [{ invoke: go }] }
`;

describe('the completion of scenarios', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    [`${file}|`, ['services', 'faults', 'cpus'], ['invoke', 'threads']],
    [`${file}serv|`, ['services'], ['invoke']],
    [`${file}secureWorld:\n  |`, ['threads', 'announced', 'abi', 'bottomHalf'], ['title']],
    [`${file}secureWorld: { | }`, ['threads', 'abi'], ['title']],
    [`${file}secureWorld: { abi: | }`, ['smc', 'ffa'], ['threads']],
    [file.replace('application: ta', 'application: |'), ['ta', 'other'], ['app', 'clk']],
    [file.replace('invoke: go', 'invoke: |'), ['go', 'stop'], ['ta']],
    [file.replace('invoke: go', '|'), ['invoke', 'wait', 'hold', 'until'], ['rpc', 'title']],
    [file.replace('invoke: go', 'hold: { lock: | }'), ['clk', 'host'], ['ta']],
    [file.replace('invoke: go', 'hold: { lock: clk, steps: [{ | }] }'), ['invoke', 'hold'], ['rpc']],
    [file.replace('compute: 1ms', '|'), ['compute', 'rpc', 'invoke'], ['until', 'title']],
    [file.replace('kind: user', 'kind: |'), ['user', 'pseudo'], ['ta']],
    [`${file}faults:\n  supplicant: |`, ['present', 'absent'], ['ta']],
    [`${file}expect: |`, ['finished', 'deadlock', 'linux-6.7'], ['ta']],
    [`${file}services:\n  |`, ['rpmb', 'fs', 'socket', 'plugin'], ['title']],
    [`${file}  more:\n    count: 2\n    |`, ['repeat', 'application', 'priority'], ['title']],
    ['|', ['title', 'clients'], ['invoke']],
  ])('in %j offers the valid completions', (text, there, not) => {
    expect(offered(text)).toEqual(expect.arrayContaining([...there]));
    for (const word of not) expect(offered(text)).not.toContain(word);
  });

  it('offers nothing in free text, and handles invalid YAML', () => {
    expect(offered(file.replace('title: t', 'title: |'))).toEqual([]);
    for (const text of ['{{{{|', '- - - |', 'a: [b|', '"|', '\t|', '&a *a|', `${'['.repeat(200)}|`])
      expect(() => offered(text)).not.toThrow();
  });
});

describe('the JSON schema of scenarios', () => {
  it('is the file beside the scenarios', () => {
    const file = resolve(import.meta.dirname, '../../scenarios/scenario.schema.json');
    // `npm run schema` writes it.
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(schema)));
  });
});
