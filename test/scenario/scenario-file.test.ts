import { describe, expect, it } from 'vitest';
import { parseScenario, ScenarioFileError } from '../../src/scenario/file/scenario-file.js';

const good = `title: good
applications:
  ta: { kind: user, commands: { go: [{ compute: 1ms }, { rpc: rpmb }] } }
  pta: { kind: pseudo, concurrent: true, commands: { clock: [] } }
services:
  rpmb: { steps: [{ wait: 1ms..2ms }, { invoke: { client: channel, command: clock } }] }
clients:
  one: { application: ta, steps: [{ invoke: go }, { wait: 1s }] }
  channel: { kernel: true, system: true, passive: true, application: pta }
`;

const pieces = `title: pieces
applications:
  vault: { use: rpmb-storage }
  scmi: { use: scmi, clocks: [clk], regulators: [vcc] }
services:
  rpmb: { steps: [] }
  fs: { steps: [] }
emmc: { rpmb: kernel, needs: [vcc], agent: agent }
clients:
  one: { application: vault, steps: [{ invoke: write }] }
  agent: { application: scmi, kernel: true, passive: true, transport: smt }
`;

function problems(text: string): string[] {
  try {
    parseScenario(text, 'f.yaml');
  } catch (error) {
    if (error instanceof ScenarioFileError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('a scenario file', () => {
  it('has defaults for everything that it leaves out', () => {
    const scenario = parseScenario(good, 'f.yaml');
    expect(scenario).toMatchObject({
      about: '',
      queues: ['linux-6.7', 'patch-v6', 'linux-6.8', 'hand-off'],
      limit: 10_000,
      preemption: { min: 0, max: 0 },
      secureWorld: { threads: 2, announced: 2 },
      faults: { unanswered: [], panics: [], supplicantAbsent: false },
    });
    expect(scenario.clients.get('one')).toMatchObject({ count: 1, callers: 1, repeat: 1, passive: false });
    expect(scenario.services.get('rpmb')).toEqual({
      exclusive: false,
      steps: [
        { step: 'wait', time: { min: 1, max: 2 } },
        { step: 'invoke', client: 'channel', command: 'clock' },
      ],
    });
  });

  it.each<[string, string, string, ...string[]]>([
    // Replaced in the good file, by, the problems.
    [
      'title: good',
      'tittle: good',
      '1:1: title: is missing; expected a string',
      '1:1: tittle: no such field; a scenario has title, about',
    ],
    ['title: good', 'title: 7', '1:1: title: expected a string'],
    ['title: good', 'title: good\nlimit: 10', '2:1: limit: expected a time with its unit (us, ms, s or min'],
    ['title: good', 'title: good\nlimit: 0ms', '2:1: limit: expected a time longer than zero'],
    ['title: good', 'title: good\nlimit: 2h', '2:1: limit: expected a time with its unit'],
    [
      'title: good',
      'title: good\nlimit: 1441min',
      '2:1: limit: expected a time with its unit (us, ms, s or min), such as 10ms or 1.5s, from 1us to 1440min, or 0',
    ],
    ['title: good', 'title: good\nqueues: []', '2:1: queues: expected at least one queue'],
    [
      'title: good',
      'title: good\nqueues: [linux-7]',
      '2:10: queues[0]: expected one of linux-6.7, patch-v6, linux-6.8, hand-off, hand-off-a, hand-off-c',
    ],
    [
      'title: good',
      'title: good\nsecureWorld: { threads: 0 }',
      '2:16: secureWorld.threads: expected a whole number from 1 to 64',
    ],
    [
      'title: good',
      'title: good\nsecureWorld: { threads: 1.5 }',
      '2:16: secureWorld.threads: expected a whole number from 1 to 64',
    ],
    [
      'title: good',
      'title: good\nsecureWorld: { announced: 65 }',
      '2:16: secureWorld.announced: expected a whole number from 0 to 64',
    ],
    [
      'title: good',
      'title: good\nfaults: { supplicant: dead }',
      '2:11: faults.supplicant: expected one of present, absent',
    ],
    [
      'title: good',
      'title: good\nfaults: { panics: [{ application: x, command: go, nth: 0 }] }',
      'faults.panics[0].nth: expected a whole number from 1 to 1000000',
    ],
    [
      'title: good',
      'title: good\nfaults: { panics: [{ application: x, command: go, nth: 1 }] }',
      'faults.panics[0].application: there is no application x',
    ],
    [
      'title: good',
      'title: good\nfaults: { unanswered: [{ rpc: fs, nth: 1 }] }',
      'faults.unanswered[0].rpc: there is no service fs',
    ],
    ...[
      ['supplicant: { leaves: 5ms, returns: 5ms }', 'supplicant: it must return after it left'],
      ['supplicant: { leaves: 5 }', 'supplicant: expected one of present, absent, or { leaves: 5ms, returns: 20ms }'],
      ['late: [{ rpc: rpmb, nth: 1 }]', 'late[0].by: expected a time with its unit'],
      ['late: [{ rpc: rpmb, nth: 1, by: 0ms }]', 'late[0].by: expected a time longer than zero'],
      ['late: [{ rpc: fs, nth: 1, by: 1ms }]', 'late[0].rpc: there is no service fs'],
      ['duplicated: [{ rpc: rpmb, nth: 0 }]', 'duplicated[0].nth: expected a whole number from 1 to 1000000'],
      ['duplicated: [{ rpc: fs, nth: 1 }]', 'duplicated[0].rpc: there is no service fs'],
      [
        'corrupted: [{ rpc: rpmb, nth: 1, by: 1ms }]',
        'corrupted[0].by: no such field; a corrupted answer has rpc, nth',
      ],
      ['deaths: [{ client: two, at: 1ms }]', 'deaths[0].client: there is no client two; clients are one, channel'],
      ['deaths: [{ client: channel, at: 1ms }]', 'deaths[0].client: channel is part of the kernel, which does not die'],
      ['deaths: [{ client: one, number: 2, at: 1ms }]', 'deaths[0].number: there is 1 client one'],
      ['deaths: [{ client: one }]', 'deaths[0].at: expected a time with its unit'],
      ['lostThreads: [1ms, 2ms]', 'lostThreads: secure world has 2 threads, and keeps at least one'],
    ].map(([fault = '', problem = '']): [string, string, string] => [
      'title: good',
      `title: good\nfaults: { ${fault} }`,
      `faults.${problem}`,
    ]),
    [
      'application: ta, steps',
      'application: ta, session: each-round, callers: 2, steps',
      'clients.one.session: a client that opens a session for each round has one caller',
    ],
    [
      'application: ta, steps',
      'application: ta, session: each-round, kernel: true, steps',
      'clients.one.session: a client inside the kernel keeps its session',
    ],
    [
      'application: ta, steps',
      'application: ta, sharedMemory: 0, steps',
      'clients.one.sharedMemory: expected a whole number from 1 to 16777216',
    ],
    [
      'clients:\n  one: { ',
      'faults: { deaths: [{ client: one, at: 1ms }] }\nclients:\n  one: { count: 2, ',
      'faults.deaths[0].client: there are 2 clients one: choose one with number',
    ],
    ['kind: user', 'kind: users', '3:9: applications.ta.kind: expected one of user, pseudo'],
    [
      'kind: user',
      'concurrent: true, kind: user',
      '3:9: applications.ta.concurrent: a user application has no concurrent',
    ],
    [
      'concurrent: true',
      'multiSession: true',
      '4:24: applications.pta.multiSession: a pseudo application has no multiSession',
    ],
    [
      'compute: 1ms }',
      'compute: 1ms, wait: 1ms }',
      '3:38: applications.ta.commands.go[0]: a step of a command must have exactly one of compute, wait, rpc',
    ],
    [
      'compute: 1ms }',
      '}',
      '3:38: applications.ta.commands.go[0]: a step of a command must have exactly one of compute, wait, rpc',
    ],
    [
      'compute: 1ms',
      'compute: 3ms..1ms',
      '3:40: applications.ta.commands.go[0].compute: the range is reversed; expected a time with its unit (us, ms, s or min), such as 10ms or 1.5s, from 1us to 1440min, or 0; or a range, such as 1ms..3ms',
    ],
    [
      'compute: 1ms',
      'sleep: 1ms',
      '3:38: applications.ta.commands.go[0]: a step',
      'applications.ta.commands.go[0].sleep: no such field; a step of a command has compute, wait, rpc',
    ],
    ['rpc: rpmb', 'rpc: emmc', 'applications.ta.commands.go[1].rpc: expected one of rpmb, fs, socket, plugin'],
    ['rpc: rpmb', 'rpc: fs', 'applications.ta.commands.go[1].rpc: there is no service fs; services are rpmb'],
    ['  rpmb: {', '  emmc: {', 'services.emmc: '],
    [
      'client: channel',
      'client: one',
      'services.rpmb.steps[1].invoke.client: there is no passive client one; passive are channel',
    ],
    [
      'command: clock',
      'command: reset',
      'services.rpmb.steps[1].invoke.command: application pta has no command reset; it has clock',
    ],
    ['  one: {', '  One: {', '8:3: clients.One: this name is not valid; expected a name'],
    ['  one: {', '  __proto__: {', '8:3: clients.__proto__: this name is not allowed'],
    [
      'application: ta,',
      'application: tb,',
      '8:10: clients.one.application: there is no application tb; applications are ta, pta',
    ],
    ['application: ta,', '', '8:3: clients.one.application: is missing; expected a name'],
    [
      'application: ta,',
      'application: ta, count: 1001,',
      '8:27: clients.one.count: expected a whole number from 1 to 1000',
    ],
    [
      'application: ta,',
      'application: ta, repeat: 0,',
      '8:27: clients.one.repeat: expected a whole number from 1 to 1000000, or forever',
    ],
    [
      'application: ta,',
      'application: ta, repeat: always,',
      '8:27: clients.one.repeat: expected a whole number from 1 to 1000000, or forever',
    ],
    ['application: ta,', 'application: ta, every: 0us,', '8:27: clients.one.every: expected a time longer than zero'],
    ['application: ta,', 'application: ta, system: true,', '8:27: clients.one.system: only a client inside the kernel'],
    ['application: ta,', 'application: ta, kernel: 1,', '8:27: clients.one.kernel: expected true or false'],
    [', steps: [{ invoke: go }, { wait: 1s }]', '', '8:3: clients.one: a client that is not passive needs steps'],
    ['steps: [{ invoke: go }, { wait: 1s }]', 'steps: []', '8:27: clients.one.steps: expected at least one step'],
    ['invoke: go', 'invoke: stop', '8:37: clients.one.steps[0].invoke: application ta has no command stop; it has go'],
    [
      'application: ta, steps: [{ invoke: go }, { wait: 1s }]',
      'application: pta, repeat: forever, steps: [{ invoke: clock }]',
      'clients.one.repeat: these steps may repeat for ever without taking time: add a wait, or every',
    ],
    ['passive: true', 'passive: true, count: 2', 'clients.channel.count: a passive client has no count'],
    [
      'application: ta, steps',
      'passive: true, application: ta, steps',
      'clients: all clients are passive: at least one must make calls',
      'clients.one.steps: a passive client has no steps',
    ],
    ['title: good', 'title: good\ntitle: better', 'not YAML: Map keys must be unique'],
    ['title: good', 'title: [good', 'not YAML: '],
    ['title: good', 'title: *none', 'not YAML: Unresolved alias'],
  ])('with %j as %j says where, which field, and what is allowed', (part, by, ...expected) => {
    expect(good).toContain(part);
    const found = problems(good.replace(part, by));
    for (const problem of expected) expect(found).toContainEqual(expect.stringContaining(problem));
    for (const line of found) expect(line).toMatch(/^f\.yaml:\d+:\d+: /);
  });

  it.each<[string, string, ...string[]]>([
    ['use: rpmb-storage', 'use: emmc', 'applications.vault.use: expected one of storage, rpmb-storage, counter, scmi'],
    [
      'use: rpmb-storage',
      'use: rpmb-storage, kind: user',
      'vault.kind: rpmb-storage cannot be modified and has no kind',
    ],
    [
      'use: rpmb-storage',
      'use: rpmb-storage, commands: {}',
      'vault.commands: rpmb-storage cannot be modified and has no',
    ],
    ['use: rpmb-storage', 'use: rpmb-storage, clocks: [clk]', 'applications.vault.clocks: only scmi has clocks'],
    ['use: rpmb-storage', 'use: rpmb-storage, compute: 1ms..2ms', 'applications.vault.compute: expected a time with'],
    [
      'use: rpmb-storage',
      'kind: user',
      'applications.vault.commands: is missing; expected a mapping from the names of',
    ],
    ['use: rpmb-storage', '', 'applications.vault: an application needs kind (user or pseudo) and commands, or use'],
    [
      'use: rpmb-storage',
      'kind: user, compute: 1ms, commands: { write: [] }',
      'applications.vault.compute: only an application with use has compute',
    ],
    [
      'use: rpmb-storage',
      'use: scmi, clocks: [a]',
      'applications.scmi.use: vault already uses scmi; secure world has one',
    ],
    ['clocks: [clk]', 'clocks: [clk, Vcc]', 'scmi.clocks[1]: expected a name: lower-case letters, digits and hyphens'],
    ['clocks: [clk]', 'clocks: [abcdefghijklmnop]', 'applications.scmi.clocks[0]: expected a name: lower-case letters'],
    ['clocks: [clk]', 'clocks: [clk, vcc]', 'applications.scmi.regulators[0]: there is already a vcc'],
    ['clocks: [clk]', 'clocks: [clk, clk]', 'applications.scmi.clocks[1]: there is already a clk'],
    ['clocks: [clk], regulators: [vcc]', '', 'applications.scmi: an SCMI service needs clocks, regulators or resets'],
    ['rpmb: kernel', 'rpmb: user', 'emmc.rpmb: expected one of kernel, supplicant'],
    ['rpmb: kernel, ', '', 'emmc.rpmb: is missing; expected one of kernel, supplicant'],
    [
      'needs: [vcc]',
      'needs: [vcc, vdd]',
      'emmc.needs[1]: there is no clock or regulator vdd behind agent; it has vcc, clk',
    ],
    ['needs: [vcc]', 'needs: [vcc, clk, vcc]', 'emmc.needs[2]: vcc is named twice'],
    [', agent: agent', '', 'emmc.needs: these need an agent: add agent, a passive client of an SCMI service'],
    ['agent: agent', 'agent: one', 'emmc.agent: one is not a passive client of an SCMI service'],
    ['agent: agent', 'agent: two', 'emmc.agent: two is not a passive client of an SCMI service'],
    ['emmc: {', 'emcm: {', 'emcm: no such field'],
    ['use: rpmb-storage', 'use: rpmb-storage, device: always', 'rpmb-storage cannot be modified and has no device'],
    [
      'use: rpmb-storage',
      'use: device-enumeration, compute: 1ms',
      'applications.vault.compute: device-enumeration cannot be modified',
    ],
    [
      'emmc: { rpmb: kernel, needs: [vcc], agent: agent }\n',
      '',
      'applications.vault.use: rpmb-storage needs a card: add emmc, such as { rpmb: kernel }',
    ],
    [
      'kernel: true, passive',
      'passive',
      'clients.agent.application: an SCMI agent is inside the kernel: add kernel: true',
    ],
    [
      'application: vault',
      'application: vault, transport: smt',
      'one.transport: only a client of an SCMI service has a',
    ],
    [
      'application: vault',
      'application: vault, sharedMemory: 4096',
      'one.sharedMemory: calls of rpmb-storage cannot pass shared memory',
    ],
    ['transport: smt', 'transport: mailbox', 'clients.agent.transport: expected one of msg, smt'],
    [
      'invoke: write',
      'invoke: erase',
      'one.steps[0].invoke: application vault has no command erase; it has write, read',
    ],
    [
      'rpmb: kernel',
      'rpmb: supplicant',
      'emmc.rpmb: the supplicant routes frames to the card, but services.rpmb answers instead',
    ],
    [
      'use: rpmb-storage',
      'use: storage',
      "vault.use: storage needs the supplicant's own files, but services.fs answers",
    ],
    [
      'title: pieces',
      'title: pieces\nfaults: { panics: [{ application: scmi, command: clk-on, nth: 1 }] }',
      'faults.panics[0]: the commands of an SCMI service are messages, which do not panic',
    ],
    [
      'steps: [{ invoke: write }]',
      'repeat: forever, steps: [{ invoke: write }]',
      'clients.one.repeat: these steps may repeat for ever without taking time',
    ],
  ])('that uses simulated components, with %j as %j, reports what is wrong with them', (part, by, ...expected) => {
    expect(problems(pieces)).toEqual([]);
    expect(pieces).toContain(part);
    const found = problems(pieces.replace(part, by));
    for (const problem of expected) expect(found).toContainEqual(expect.stringContaining(problem));
    for (const line of found) expect(line).toMatch(/^f\.yaml:\d+:\d+: /);
  });

  it('gets all its problems reported at once, in the order of the file', () => {
    const found = problems(
      good.replace('kind: user', 'kind: x').replace('1ms..2ms', '1').replace('wait: 1s', 'wait: 1h'),
    );
    expect(found.map((line) => line.split(': ')[1])).toEqual([
      'applications.ta.kind',
      'services.rpmb.steps[0].wait',
      'clients.one.steps[1].wait',
    ]);
  });

  it.each(['', 'hello', '[]', '3', 'null'])('must be a mapping, not %j', (text) => {
    expect(problems(text)).toEqual([expect.stringContaining('expected a scenario: a mapping with title, about,')]);
  });

  it('is refused if it expands without limit, or is too long', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 0; level < 8; level++) {
      const [name, before] = [level + 1, level].map((index) => String.fromCharCode(97 + index));
      bomb.push(`${name}: &${name} [${new Array(10).fill(`*${before}`).join(', ')}]`);
    }
    expect(problems(bomb.join('\n'))).toEqual([expect.stringContaining('not YAML')]);
    expect(problems(' '.repeat(1_000_001))).toEqual([expect.stringContaining('1000001 characters, at most 1000000')]);
  });

  it.each([
    [
      'application: ta,',
      'application: ta, every: 0.0001us..0.0002us,',
      'clients.one.every: expected a time with its unit',
    ],
    ['{ wait: 1s }', '{ wait: 0.0001us..0.0002us }', 'clients.one.steps[1].wait: expected a time with its unit'],
    [
      'title: good',
      'title: good\nfaults: { interrupts: 0.00000000000000000001us }',
      'faults.interrupts: expected a time',
    ],
    [
      'application: ta,',
      'application: ta, count: 1000, callers: 11,',
      'clients.one: count times callers are 11000 here',
    ],
    ['title: good', 'title: "\\e[2J"', 'title: expected a string without control characters'],
  ])('with %j as %j is refused, because a run must make progress and end', (part, by, expected) => {
    expect(problems(good.replace(part, by))).toContainEqual(expect.stringContaining(expected));
  });

  it('is refused with a message of bounded length and in bounded time', () => {
    const names = Array.from({ length: 40_000 }, (_, index) => `  a${index}: 1\n`).join('');
    expect(problems(good.replace('applications:', `applications:\n${names}`))[0]).toContain(
      'at most 1000 names are allowed',
    );
    const found = problems(good.replace('title: good', `title: good\n${names.replaceAll('  a', 'a')}`));
    expect(found).toHaveLength(31);
    expect(found.at(-1)).toMatch(/^f\.yaml: \d+ more problems$/);
  });

  const many = (count: number, item: string) => new Array(count).fill(item).join(', ');

  it.each([
    ['steps that are none', '{ wait: 1s }', many(40_000, '1')],
    ['steps of nothing', '{ wait: 1s }', many(40_000, '{}')],
    ['steps with unknown fields', '{ wait: 1s }', many(20_000, '{ a: 1 }')],
    ['times that are none', '{ wait: 1s }', many(20_000, '{ wait: x }')],
    ['RPCs of no service', '{ rpc: rpmb }', many(20_000, '{ rpc: no }')],
    ['commands that there are not', '{ wait: 1s }', many(20_000, '{ invoke: no }')],
    ['places that are not YAML', '{ wait: 1s }', ','.repeat(200_000)],
    ['escapes that there are not', 'title: good', `title: "${'\\q'.repeat(300_000)}"`],
  ])('reports the first of many %s, and their number', (_, part, by) => {
    const found = problems(good.replace(part, by));
    expect(found).toHaveLength(31);
    expect(found.at(-1)).toMatch(/^f\.yaml: \d+ more problems$/);
  });

  it('limits the number of values, wherever they come from', () => {
    const refused = ['f.yaml:1:1: the file has more than 50000 values, those that aliases stand for included'];
    expect(problems(good.replace('{ wait: 1s }', many(50_000, '1')))).toEqual(refused);
    const aliases = `title: good\nx-many: &many [${many(1000, '1')}]\nx-more: [${many(50, '*many')}]`;
    expect(problems(good.replace('title: good', aliases))).toEqual(refused);
    const anchors = Array.from({ length: 1001 }, (_, index) => `x-${index}: &a${index} 1\ny-${index}: *a${index}`);
    expect(problems(anchors.join('\n'))).toEqual(['f.yaml:1:1: the file has more than 1000 aliases']);
    expect(problems(anchors.slice(1).join('\n'))[0]).toContain('title: is missing');
  });

  it('has messages of bounded length', () => {
    const commands = Array.from({ length: 999 }, (_, index) => `a-long-name-${index}: []`).join(', ');
    const [found = ''] = problems(
      good.replace('go: [', `${commands}, go: [`).replace('{ wait: 1s }', '{ invoke: no }'),
    );
    expect(found).toMatch(/has no command no; it has a-long-name-0, .*-29 and 970 more$/);
    const long = 'x'.repeat(300);
    expect(problems(good.replace('title: good', ['title: $', `{t}\nparameters: { t: ${long} }`].join('')))).toEqual([
      expect.stringContaining('parameters.t: a parameter has at most 256 characters'),
    ]);
  });
});

describe('a scenario file', () => {
  const valid = `title: t
applications: { ta: { kind: user, commands: { go: [{ compute: 1ms }] } } }
clients: { a: { application: ta, steps: [{ invoke: go }] } }
`;
  const problems = (text: string): string[] => {
    try {
      parseScenario(text, 'f');
      return [];
    } catch (error) {
      if (!(error instanceof ScenarioFileError)) throw error;
      return error.message.split('\n');
    }
  };

  it('may have fields of its own that begin with x-, anchors and merge keys', () => {
    const scenario = parseScenario(
      `title: t
x-common: &common { kind: user, commands: { go: [{ compute: 1ms }] } }
applications:
  x-ray: { <<: *common, x-note: one }
  ta: { <<: *common, kind: pseudo }
clients:
  a: { application: ta, x-owner: me, steps: [{ invoke: go }] }
`,
      'f',
    );
    // A name may begin with x- where names stand.
    expect([...scenario.applications.values()].map(({ name, kind }) => [name, kind])).toEqual([
      ['x-ray', 'user'],
      ['ta', 'pseudo'],
    ]);
  });

  it('reports all mistakes at once: structure and references', () => {
    const text = `${valid}faults: { late: [{ rpc: fs, nth: 0, by: 1ms }], deaths: [{ client: nobody, at: 1ms }] }\n`;
    expect(problems(text)).toEqual([
      expect.stringContaining('f:4:29: faults.late[0].nth: expected a whole number from 1'),
      expect.stringContaining('faults.deaths[0].client: there is no client nobody; clients are a'),
    ]);
  });

  it.each(['constructor', 'toString', 'hasOwnProperty'])(
    'does not find a field %s that the file does not contain',
    (name) => {
      const [problem, ...others] = problems(valid.replace('application: ta,', `application: ${name.toLowerCase()},`));
      expect(problem).toContain(`there is no application ${name.toLowerCase()}; applications are ta`);
      expect(others).toEqual([]);
    },
  );

  it('reports a reversed range, a second document, and too many callers', () => {
    expect(problems(valid.replace('1ms', '3ms..1ms'))[0]).toContain('the range is reversed');
    expect(problems(`${valid}---\n${valid}`)).toEqual(['f:4:1: a file has one scenario: remove this ---']);
    expect(problems(valid.replace('steps:', 'count: 1000, callers: 1000, steps:'))[0]).toBe(
      'f:3:12: clients.a: count times callers are 1000000 here, and 1000000 in all; a scenario has at most 4096',
    );
  });

  it('limits the number of reported problems', () => {
    const many = Array.from({ length: 400 }, (_, index) => `field-${index}: ${'x'.repeat(100)}`).join('\n');
    const told = problems(`${valid}${many}\n`);
    expect(told).toHaveLength(31);
    expect(told.at(-1)).toBe('f: 370 more problems');
  });

  it('reports an unknown parameter, and where it is used', () => {
    expect(problems(valid.replace('1ms', ['"$', '{time}"'].join('')))).toEqual([
      expect.stringContaining(
        'f:2:54: applications.ta.commands.go[0].compute: there is no parameter time; parameters are none',
      ),
    ]);
  });
});
