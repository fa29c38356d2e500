import { describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, openWorld, startSupplicant } from '../src/index.js';
import { MemoryFileSystem } from '../src/testing.js';
import { QemuWorld } from '../src/worlds/qemu/qemu-world.js';
import { opteeTestApplications } from './support/optee-test-applications.js';

/** As callers without types give them. */
const given = (options: unknown) => options as OpenTeeOptions;

describe('an argument of openTee', () => {
  it.each<[string, unknown, RegExp]>([
    ['a path in place of options', { qemu: '/usr/bin/qemu' }, /^qemu: options must be an object, not string/],
    ['a mistyped option', { quque: 'hand-off' }, /^openTee: there is no option "quque"; did you mean "queue"\?/],
    ['an option of another level', { cpus: 2 }, /^openTee: there is no option "cpus"; allowed: .*qemu/],
    [
      'a mistyped option of QEMU',
      { world: 'qemu', qemu: { cpu: 2 } },
      /^qemu: there is no option "cpu"; did you mean "cpus"\?/,
    ],
    [
      'a mistyped option of the supplicant',
      { supplicant: { taStore: [] } },
      /^the supplicant: .*did you mean "taStores"/,
    ],
    ['a mistyped option of the simulated world', { simulated: { thread: 4 } }, /"thread"/],
    ['a world that is none', { world: 'qmeu' }, /^openTee: world is "qmeu"; allowed: "simulated", "qemu"/],
    [
      'options of QEMU for the simulated world',
      { qemu: { cpus: 2 } },
      /^openTee: qemu is for world "qemu", but the world is "simulated"/,
    ],
    [
      'options of the simulated world for QEMU',
      { world: 'qemu', simulated: {} },
      /^openTee: simulated is for world "simulated"/,
    ],
    [
      'applications in TypeScript for QEMU',
      { world: 'qemu', trustedApplications: opteeTestApplications },
      /trustedApplications is for/,
    ],
    ['one folder in place of a list', { taFolders: 'build/ta' }, /^openTee: taFolders must be an array, not string/],
    ['a folder that is no path', { taFolders: [1] }, /^openTee: taFolders must have paths of folders, not number/],
    [
      'a storage folder that is no path',
      { storageFolder: '' },
      /^openTee: storageFolder must have paths of folders, not an empty one/,
    ],
    ['a trace that is none', { trace: 5 }, /^openTee: trace must be a Trace or the path of a file, not number/],
    ['no time', { callLimitMs: Number.NaN }, /^openTee: callLimitMs is NaN/],
    [
      'a negative time',
      { world: 'qemu', qemu: { bootLimitMs: -1 } },
      /^qemu: bootLimitMs is -1; allowed: milliseconds from 0/,
    ],
    ['a number that is text', { world: 'qemu', qemu: { cpus: '2' } }, /^qemu: cpus is "2"; allowed: integers 1\.\.4/],
    ['a spin without end', { world: 'qemu', qemu: { spinMicroseconds: Number.NaN } }, /^qemu: spinMicroseconds is NaN/],
    [
      'a listener that is none',
      { world: 'qemu', qemu: { onConsoleLine: true } },
      /^qemu: onConsoleLine must be a function, not boolean/,
    ],
    ['a clock that is a number', { clock: 5 }, /^openTee: clock must be an object, not 5/],
    [
      'a clock without timers',
      { clock: { now: () => 0, wallClock: () => 0 } },
      /^openTee: clock has no method setTimer/,
    ],
    ['a schedule that is none', { schedule: {} }, /^openTee: schedule has no method point/],
    ['no object for the simulated world', { simulated: 5 }, /^openTee: simulated must be an object, not 5/],
    ['a number for an application', { trustedApplications: [5] }, /trustedApplications\[0\] must be an object, not 5/],
    [
      'a text for yes',
      { storageFolder: 'x', storageReadOnly: 'no' },
      /storageReadOnly is "no"; allowed: true and false/,
    ],
    ['a number for yes', { memoryFile: 1 }, /^openTee: memoryFile is 1; allowed: true and false/],
    ['a profile folder that is no path', { profileFolder: 7 }, /^openTee: profileFolder must have paths of folders/],
    ['what only a storage folder has', { storageReadOnly: true }, /^openTee: storageReadOnly needs storageFolder/],
    [
      'storage for no supplicant',
      { supplicant: false, storageFolder: 'x' },
      /^openTee: storageFolder is for a supplicant, and supplicant is false/,
    ],
    [
      'two storages',
      { storageFolder: 'x', supplicant: { fileSystem: new MemoryFileSystem() } },
      /^openTee: storageFolder and supplicant.fileSystem say the same/,
    ],
    ['folders of ELFs where nothing reads them', { taElfFolders: ['x'] }, /^openTee: taElfFolders is for world "qemu"/],
    ['coverage of no code', { coverageFolder: 'x' }, /^openTee: coverageFolder is for world "qemu"/],
    ['a script for no debugger', { world: 'qemu', gdbScript: 'x' }, /^openTee: gdbScript needs qemu: \{ gdb \}/],
    [
      'applications beside the list of them',
      { simulated: { trustedApplications: [] } },
      /^openTee: trustedApplications is an option of openTee itself, not of simulated/,
    ],
    [
      'requests that do something else',
      { supplicantRequests: 'wiat' },
      /supplicantRequests is "wiat"; allowed: "fail"/,
    ],
    ['a queue that is made by nothing', { createQueue: 5 }, /^openTee: createQueue must be a function, not 5/],
    ['a card in place of a list', { rpmb: {} }, /^openTee: rpmb must be an array of RPMB devices, not object/],
    ['a card that is none', { rpmb: [{}] }, /^openTee: rpmb\[0\] has no method exchange/],
    ['buses that are none', { i2c: {} }, /^openTee: i2c has no method get/],
    ['a number of stores', { supplicant: { taStores: 5 } }, /^the supplicant: taStores must be an array, not number/],
    ['a path for a store', { supplicant: { taStores: ['ta'] } }, /taStores\[0\] must be an object, not "ta"/],
    [
      'a file system without files',
      { supplicant: { fileSystem: {} } },
      /fileSystem has no method open, create, remove/,
    ],
    ['a network that is on', { supplicant: { sockets: true } }, /sockets must be an object, not true/],
    ['a plugin that does nothing', { supplicant: { plugins: [{}] } }, /plugins\[0\] has no method invoke/],
    ['a folder for profiles', { supplicant: { profiles: 'x' } }, /profiles must be an object, not "x"/],
    ['services that are no map', { supplicant: { services: {} } }, /services must be a Map/],
    [
      'a service that is none',
      { supplicant: { services: new Map([[7, 5]]) } },
      /RPC command 7 must be a function, not 5/,
    ],
    ['nobody who is told', { supplicant: { onError: 'stderr' } }, /onError must be a function, not "stderr"/],
    ['an identity that is none', { identity: { uid: -1, gid: 0, groups: [] } }, /uid is -1/],
  ])('is refused and named if it is %s', async (_name, options, why) => {
    await expect(openTee(given(options))).rejects.toThrow(why);
  });

  it('may have options that are undefined', async () => {
    const tee = await openTee(given({ queue: undefined, qemu: undefined, nothing: undefined }));
    await tee.close();
  });

  it('is refused and named by the functions below as well', async () => {
    const tee = await openTee({ supplicant: false });
    expect(() => startSupplicant(tee, given({ taFolders: [] }) as object)).toThrow(
      'the supplicant: there is no option "taFolders"',
    );
    await tee.close();
    const { SimulatedWorld } = await import('../src/worlds/simulated/index.js');
    await expect(openWorld(new SimulatedWorld(), given({ taFolders: [] }) as object)).rejects.toThrow(
      'openWorld: there is no option "taFolders"',
    );
    await expect(QemuWorld.start(given({ optee: 'x', memory: 3 }) as { optee: string })).rejects.toThrow(
      'qemu: there is no option "memory"',
    );
  });
});
