import { describe, expect, it } from 'vitest';
import { consoleVerdicts } from '../../src/fuzz/optee/console-verdict.js';
import { diesOnPurpose, isOnPurpose } from '../../src/fuzz/optee/deaths-on-purpose.js';
import { ElfFolders } from '../../src/symbolize/elf-folder.js';

const elves = new ElfFolders([], '/no/such/tee.elf');
const panicOf = (uuid: string) => [
  'E/TC:? 0 TA panicked with code 0xffff0006',
  `E/LD:  Status of TA ${uuid}`,
  'E/LD:   arch: aarch64',
];
const storage = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';

describe('a panic of an application', () => {
  it('is a finding', () => {
    const [verdict] = consoleVerdicts(panicOf('6b1f3c52-0d8e-4a77-9e55-3f1d2c4b5a60'), elves);
    expect(verdict).toMatchObject({ kind: 'ta-panic' });
    expect(verdict !== undefined && isOnPurpose(verdict)).toBe(false);
  });

  it.each([...diesOnPurpose])('is not a finding for %s, %s', (uuid) => {
    const [verdict] = consoleVerdicts(panicOf(uuid), elves);
    expect(verdict).toMatchObject({ kind: 'ta-panic' });
    expect(verdict !== undefined && isOnPurpose(verdict)).toBe(true);
  });

  it('in its loader is not one of the core, and is counted once', () => {
    const lines = [
      'E/TC:? 0 TA panicked with code 0x1',
      'E/TC:? 0  region  0: va 0x0000000040000000 pa 0x000000000e102000 size 0x002000 flags ---R-X',
      'E/TC:? 0 ldelf_init_with_ldelf:148 ldelf panicked',
      'E/LD:  ldelf:162 sys_map_zi(16384): result ffff000c',
      'E/LD:  Panic at ldelf/main.c:163 <ldelf>',
    ];
    expect(consoleVerdicts(lines, elves)).toMatchObject([{ kind: 'ta-panic', signature: 'ldelf panicked' }]);
    expect(consoleVerdicts(lines.slice(3), elves)).toMatchObject([{ kind: 'ta-panic', signature: 'ldelf panicked' }]);
  });

  it('that also panics the core is a finding for any application', () => {
    const core = 'E/TC:0 0 Panic at core/kernel/tee_ta_manager.c:168 <tee_ta_set_busy>';
    const kinds = consoleVerdicts([core, ...panicOf(storage)], elves)
      .filter((verdict) => !isOnPurpose(verdict))
      .map(({ kind }) => kind);
    expect(kinds).toEqual(['core-panic']);
  });
});
