import { describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, openWorld, startSupplicant } from '../src/index.js';
import { QemuWorld } from '../src/worlds/qemu/qemu-world.js';
import { opteeTestApplications } from './support/optee-test-applications.js';

/** As callers without types give them. */
const given = (options: unknown) => options as OpenTeeOptions;

describe('what openTee is given', () => {
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
      /^bootLimitMs is -1; allowed: milliseconds from 0/,
    ],
    ['a number that is text', { world: 'qemu', qemu: { cpus: '2' } }, /^cpus is 2; allowed: integers 1\.\.4/],
    ['a spin without end', { world: 'qemu', qemu: { spinMicroseconds: Number.NaN } }, /^spinMicroseconds is NaN/],
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
    ['an identity that is none', { identity: { uid: -1, gid: 0, groups: [] } }, /uid is -1/],
  ])('is refused by name when it is %s', async (_name, options, why) => {
    await expect(openTee(given(options))).rejects.toThrow(why);
  });

  it('may have options that are undefined', async () => {
    const tee = await openTee(given({ queue: undefined, qemu: undefined, nothing: undefined }));
    await tee.close();
  });

  it('is refused by name by the doors below as well', async () => {
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
