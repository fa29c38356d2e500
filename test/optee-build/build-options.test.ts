import { describe, expect, it } from 'vitest';
import {
  type BuildOptions,
  buildName,
  makeVariables,
  parseBuildVariable,
} from '../../src/optee-build/build-options.js';

const plain: BuildOptions = { suite: 'sid', reservedShm: true, dynamicShm: true, set: [] };
const set = (...texts: string[]) => texts.map(parseBuildVariable);

describe('the options of a build of OP-TEE', () => {
  it('are in its name, the same for the same options in any order', () => {
    expect(buildName(plain)).toBe('sid');
    expect(buildName({ ...plain, ffa: true, threads: 4 })).toBe('sid-ffa-threads4');
    expect(
      buildName({
        ...plain,
        suite: 'trixie',
        rpmb: true,
        scmi: true,
        cores: 2,
        logLevel: 0,
        pager: true,
        release: true,
      }),
    ).toBe('trixie-rpmb-scmi-cores2-log0-pager-release');
    expect(buildName({ ...plain, reservedShm: false, dynamicShm: false })).toBe('sid-no-reserved-shm-no-dynamic-shm');
    expect(buildName({ ...plain, set: set('CFG_B=2', 'CFG_A=n') })).toBe('sid-A=n-B=2');
    expect(buildName({ ...plain, set: set('CFG_A=y', 'CFG_B=2', 'CFG_A=n') })).toBe('sid-A=n-B=2');
  });

  it('give a name that is one part of a path, and another one for other values', () => {
    const slashes = buildName({ ...plain, set: set('CFG_DT=a/b') });
    expect(slashes).not.toContain('/');
    expect(slashes).not.toBe(buildName({ ...plain, set: set('CFG_DT=a_b') }));
    const many = Array.from({ length: 60 }, (_, index) => `CFG_VARIABLE_${index}=y`);
    expect(buildName({ ...plain, set: set(...many) }).length).toBeLessThan(160);
    expect(buildName({ ...plain, set: set(...many) })).not.toBe(buildName({ ...plain, set: set(...many, 'CFG_Z=y') }));
  });

  it('become arguments of make, each variable once, and explicit settings take precedence', () => {
    expect(makeVariables(plain)).toContain('PLATFORM=vexpress-qemu_armv8a');
    expect(makeVariables({ ...plain, ffa: true, threads: 8 })).toEqual(
      expect.arrayContaining(['CFG_CORE_SEL1_SPMC=y', 'CFG_NUM_THREADS=8']),
    );
    const of = (options: Partial<BuildOptions>, name: string) =>
      makeVariables({ ...plain, ...options }).filter((assignment) => assignment.startsWith(`${name}=`));
    expect(of({ rpmb: true }, 'CFG_RPMB_WRITE_KEY')).toEqual(['CFG_RPMB_WRITE_KEY=y']);
    expect(of({ rpmb: true, set: set('CFG_RPMB_WRITE_KEY=n') }, 'CFG_RPMB_WRITE_KEY')).toEqual([
      'CFG_RPMB_WRITE_KEY=n',
    ]);
    expect(of({}, 'CFG_TEE_CORE_LOG_LEVEL')).toEqual(['CFG_TEE_CORE_LOG_LEVEL=3']);
    expect(of({ release: true }, 'CFG_TEE_CORE_LOG_LEVEL')).toEqual(['CFG_TEE_CORE_LOG_LEVEL=1']);
    expect(of({ release: true, logLevel: 2 }, 'CFG_TEE_CORE_LOG_LEVEL')).toEqual(['CFG_TEE_CORE_LOG_LEVEL=2']);
  });

  it.each([
    '',
    'CFG_X',
    'X=y',
    '=y',
    'CFG_X=a b',
    "CFG_X='y'",
    'CFG_X=$(shell)',
    'CFG_X=`date`',
    'CFG_X=y;z',
    'O=/tmp',
  ])('are refused when a variable is written %j', (text) => {
    expect(() => parseBuildVariable(text)).toThrow(/is not a variable of OP-TEE's build/);
  });

  it('accept a variable without a value', () => {
    expect(parseBuildVariable('CFG_X=')).toEqual({ name: 'CFG_X', value: '' });
    expect(parseBuildVariable('CFG_TA_KEY=a=b')).toEqual({ name: 'CFG_TA_KEY', value: 'a=b' });
  });
});
