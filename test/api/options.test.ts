import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as api from '../../src/index.js';
import * as rpmb from '../../src/rpmb/index.js';
import * as scenarios from '../../src/scenarios.js';
import * as scmi from '../../src/scmi/index.js';
import * as ta from '../../src/ta/index.js';
import * as testing from '../../src/testing.js';
import * as trace from '../../src/trace/index.js';
import * as traceFiles from '../../src/trace/node/index.js';
import { userTa } from '../support/applications.js';
import { doorsWithOptions } from './doors.js';

const folder = mkdtempSync(join(tmpdir(), 'normalworld-options-'));
let tee: api.Tee;
let context: api.Context;
let kernel: api.KernelContext;
let session: api.Session;
let kernelSession: api.KernelSession;
beforeAll(async () => {
  tee = await api.openTee({ trustedApplications: [userTa] });
  context = tee.openContext();
  session = await context.openSession(userTa.uuid);
  kernel = tee.openKernelContext({ label: 'kernel' });
  kernelSession = await kernel.openSession(userTa.uuid);
});
afterAll(async () => {
  await tee.close();
  rmSync(folder, { recursive: true });
});

// biome-ignore lint/suspicious/noExplicitAny: what JavaScript can give, and the types would not let through.
const unknown: any = { noSuchOption: 1 };
const file = (name: string) => join(folder, name);
const memory = () => context.allocateSharedMemory(8);
const scenario = () =>
  scenarios.parseScenario(
    'title: one\napplications: { a: { kind: pseudo, commands: { c: [] } } }\nclients: { x: { application: a, steps: [{ invoke: c }] } }\n',
    'one.yaml',
  );
const sources = { name: 'x', folder, header: file('x.h') };

const explored = (options: Partial<Parameters<typeof scenarios.exploreScenario>[1]>) =>
  scenarios.exploreScenario(scenario(), { queue: 'hand-off', strategy: 'random', seed: 1, maxRuns: 1, ...options });

/** A misuse of each door: an option that there is none of. */
const misuses: Readonly<Record<string, () => unknown>> = {
  'Context#openSession(options)': () => context.openSession(userTa.uuid, unknown),
  'EmmcFile.open(options)': () => rpmb.EmmcFile.open(file('card'), unknown),
  'KernelContext#openSession(options)': () => kernel.openSession(userTa.uuid, unknown),
  'KernelSession#invoke(options)': () => kernelSession.invoke(1, [], unknown),
  'ScmiAgent.open(options)': () => scmi.ScmiAgent.open(tee, unknown),
  'ScmiAgent.openOn(options)': () => scmi.ScmiAgent.openOn(tee.openKernelContext(), unknown),
  'Session#invoke(options)': () => session.invoke(1, [], unknown),
  'Tee#close(options)': () => tee.close(unknown),
  'Tee#openContext(options)': () => tee.openContext(unknown),
  'Tee#openKernelContext(options)': () => tee.openKernelContext(unknown),
  'Tee#watchDevices(options)': () => tee.watchDevices(unknown),
  'TeeServer.listen(options)': () => api.TeeServer.listen(tee, unknown),
  'VirtualClock#run(options)': () => new testing.VirtualClock().run(unknown),
  'buildTa(options)': () => ta.buildTa(sources as never, unknown),
  'exploreScenario(options)': () => scenarios.exploreScenario(scenario(), unknown),
  'importLinuxTrace(options)': () => trace.importLinuxTrace([], new trace.MemoryRecorder(), unknown),
  'inspectTa(options)': () => ta.inspectTa(new Uint8Array(), unknown),
  'memref.inout(part)': async () => api.memref.inout(await memory(), unknown),
  'memref.input(part)': async () => api.memref.input(await memory(), unknown),
  'memref.output(part)': async () => api.memref.output(await memory(), unknown),
  'missingForQemu(options)': () => api.missingForQemu(unknown),
  'new ConsoleLog(options)': () => new ta.ConsoleLog(unknown),
  'new EmulatedEmmc(options)': () => new rpmb.EmulatedEmmc({ hmac: rpmb.hmacSha256, ...unknown }),
  'new FolderFileSystem(options)': () => new api.FolderFileSystem(file('storage'), unknown),
  'new MemoryFileSystem(options)': () => new testing.MemoryFileSystem(unknown),
  'new MemoryRecorder(options)': () => new trace.MemoryRecorder(unknown),
  'new SimulatedWorld(options)': () => new testing.SimulatedWorld(unknown),
  'new TraceFile(options)': () => new traceFiles.TraceFile(file('trace.nwt'), unknown),
  'openLinuxSupplicant(options)': () => api.openLinuxSupplicant(unknown),
  'openTee(options)': () => api.openTee(unknown),
  'openTestTee(options)': () => testing.openTestTee(unknown),
  'openWorld(options)': () => api.openWorld(new testing.SimulatedWorld(), unknown),
  'rpmbStorageTa(options)': () => testing.rpmbStorageTa(unknown),
  'runScenario(options)': () => scenarios.runScenario(scenario(), unknown),
  'runSeeds(options)': () => scenarios.runSeeds(scenario(), { from: 1, to: 2, ...unknown }),
  'scmiPta(options)': () => testing.scmiPta({ clocks: [], regulators: [], resets: [] } as never, unknown),
  'startSupplicant(settings)': () => api.startSupplicant(tee, unknown),
  'textReport(layout)': () => scenarios.textReport({ title: '', about: '', seed: 1, runs: [] }, unknown),
  'trustedApplication(definition)': () => api.trustedApplication({ ...userTa, ...unknown }),
};

type Misuse = [string, () => unknown, string];
/** Values that many ways of printing throw for. */
const odd = (door: string, misuse: (value: never) => unknown, says: string): Misuse[] =>
  [5n, Symbol('s'), Object.create(null)].map((value) => [door, () => misuse(value as never), says]);

/** Errors are made by us: their options are those of the language's. */
const exempt = new Set(['ConduitError', 'TeecError', 'TraceFormatError'].map((name) => `new ${name}(options)`));

describe('every public function that takes options', () => {
  it('is listed in this test', () => {
    expect(doorsWithOptions().filter((door) => !exempt.has(door))).toEqual(Object.keys(misuses).sort());
  });

  it.each(Object.entries(misuses))('%s refuses an unknown option and names it', async (_, misuse) => {
    // Not what it gives back: printing a TEE that should not be there takes all memory.
    const refusal = (async () => {
      await misuse();
      return 'not refused';
    })();
    await expect(refusal).rejects.toThrow(/there is no option "noSuchOption"/);
  });

  it.each<[string, () => unknown, string]>([
    [
      'TraceFile',
      () => new traceFiles.TraceFile(file('trace.nwt'), { flushIntervalMs: Number.NaN }),
      'flushIntervalMs is NaN',
    ],
    ['TraceFile', () => new traceFiles.TraceFile(file('trace.nwt'), { maxBytes: -1 }), 'maxBytes is -1'],
    ['MemoryRecorder', () => new trace.MemoryRecorder({ maxBytes: Number.NaN }), 'maxBytes is NaN'],
    ['MemoryFileSystem', () => new testing.MemoryFileSystem({ capacity: Number.NaN }), 'capacity is NaN'],
    ['VirtualClock', () => new testing.VirtualClock().run({ limitMs: Number.NaN }), 'limitMs is NaN'],
    ['TeeServer', () => api.TeeServer.listen(tee, { requestLimitMs: -1 }), 'requestLimitMs is -1'],
    ['TeeServer', () => api.TeeServer.listen(tee, { path: 7 as never }), 'path must be the path of a socket, not 7'],
    ['TeeServer', () => api.TeeServer.listen(tee, { onError: 'no' as never }), 'onError must be a function, not "no"'],
    [
      'importLinuxTrace',
      () => trace.importLinuxTrace([], new trace.MemoryRecorder(), { threads: 1e9 }),
      'threads is 1000000000; allowed: integers from 1 to 1024',
    ],
    ['ScmiAgent', () => scmi.ScmiAgent.open(tee, { transport: 'mgs' as never }), 'transport is "mgs"; allowed'],
    ['Trace', () => tee.trace.listen('x' as never), 'a listener of the trace must be a function, not "x"'],
    ['Trace', () => tee.trace.attach({} as never), 'Trace.attach: sink has no method record'],
    ['panics', () => tee.panics?.listen(1 as never), 'a listener to panics must be a function, not 1'],
    ...odd('openTee', (world) => api.openTee({ world }), 'openTee: world is '),
    ...odd('openTee', (simulated) => api.openTee({ simulated: [simulated] as never }), 'simulated must be an object'),
    ...['', 'a\0b'].map(
      (trace): Misuse => ['openTee', () => api.openTee({ trace }), 'openTee: trace must be the path'],
    ),
    ...(['device', 'deviceCalls', 'sysfs', 'tracepoints'] as const).map(
      (name): Misuse => ['openTee', () => api.openTee({ [name]: [] as never }), `openTee: ${name} `],
    ),
    ...(['coverageFolder', 'flameGraphFolder', 'gdbScript'] as const).map(
      (name): Misuse => ['openTee', () => api.openTee({ world: 'qemu', [name]: 'a\0b' }), `openTee: ${name} must `],
    ),
    ...odd('invoke', (command) => session.invoke(command), 'command '),
    ...odd('allocateSharedMemory', (size) => context.allocateSharedMemory(size), 'shared memory of '),
    ...odd('memref', async (offset) => api.memref.inout(await memory(), { offset }), 'memref.inout: offset is '),
    ...odd('addRpmb', (device) => tee.addRpmb(device), 'addRpmb: the device '),
    ['addRpmb', () => tee.addRpmb({} as never), 'addRpmb: the device has no method exchange'],
    ['openLinuxSupplicant', () => api.openLinuxSupplicant({ device: '' }), 'device must be the path of a device'],
    ['openLinuxSupplicant', () => api.openLinuxSupplicant({ onTrouble: 1 as never }), 'onTrouble must be a function'],
    ['exploreScenario', () => explored({ maxRuns: Number.NaN }), 'maxRuns is NaN'],
    ['exploreScenario', () => explored({ maxSeconds: -1 }), 'maxSeconds is -1'],
    ['exploreScenario', () => explored({ seed: 2 ** 32 }), 'seed 4294967296 is not a whole number'],
    ['exploreScenario', () => explored({ strategy: 'lucky' as never }), 'strategy is "lucky"; allowed'],
  ])('%s refuses by name a value that cannot be (%#)', async (_, misuse, says) => {
    const refusal = (async () => {
      await misuse();
      return 'not refused';
    })();
    await expect(refusal).rejects.toThrow(says);
  });

  it('has had no effect when it refuses an option', () => {
    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses unknown nested options', async () => {
    expect(() => testing.composeFaults(unknown)).toThrow('composeFaults: there is no option "noSuchOption"');
    await expect(scmi.ScmiAgent.open(tee, { channels: unknown })).rejects.toThrow(
      'channels of the SCMI agent: there is no option "noSuchOption"; allowed: base, clock, reset, voltage',
    );
  });
});

it('every function refuses an unknown call queue and names it', async () => {
  const queue = 'linux-6.9' as api.DisciplineName;
  const refusal = /there is no call queue "linux-6.9"; allowed: linux-6.7/;
  expect(() => api.createCallQueue(queue, 2)).toThrow(refusal);
  await expect(api.openTee({ queue })).rejects.toThrow(refusal);
  await expect(scenarios.runScenario(scenario(), { queues: [queue] })).rejects.toThrow(refusal);
});
