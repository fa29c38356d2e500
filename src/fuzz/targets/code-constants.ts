/** How far a constant that was moved into a register is taken to be still there, in instructions. */
const reach = 8;
/** How far behind a comparison its condition is looked for, in instructions. */
const conditionReach = 3;

/** The constants that code compares values with. */
export interface CodeConstants {
  /** In a comparison for equality: commands, types of parameters, exact sizes. By frequency. */
  readonly equal: readonly number[];
  /** In any comparison: also limits. By frequency. */
  readonly compared: readonly number[];
}

/**
 * Read the constants of comparisons from AArch64 code: immediates of CMP, CMN and CCMP, and constants that are moved
 * into a register shortly before. Data between the instructions gives a few constants that are none.
 */
export function codeConstants(code: Uint8Array): CodeConstants {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const count = Math.floor(code.length / 4);
  const instruction = (index: number) => (index < count ? view.getUint32(index * 4, true) : 0);
  const equal = new Map<number, number>();
  const compared = new Map<number, number>();
  const moved = new MovedConstants();
  for (let index = 0; index < count; index++) {
    const word = instruction(index);
    moved.follow(word, index);
    for (const constant of comparedIn(word, index, moved)) {
      compared.set(constant, (compared.get(constant) ?? 0) + 1);
      if (isForEquality(instruction, index)) equal.set(constant, (equal.get(constant) ?? 0) + 1);
    }
  }
  return { equal: byFrequency(equal), compared: byFrequency(compared) };
}

function comparedIn(word: number, index: number, moved: MovedConstants): readonly number[] {
  // SUBS and ADDS (immediate): CMP and CMN; imm12, shifted left by 12 if bit 22 is set.
  const immediate = ((word >>> 10) & 0xfff) * ((word & (1 << 22)) === 0 ? 1 : 4096);
  if ((word & 0x7f80_0000) === 0x7100_0000) return [immediate];
  if ((word & 0x7f80_0000) === 0x3100_0000) return [-immediate >>> 0];
  // CCMP (immediate).
  if ((word & 0x7fe0_0c10) === 0x7a40_0800) return [(word >>> 16) & 31];
  // SUBS (shifted register), CCMP (register): of a register with a constant.
  const ofRegisters = (word & 0x7f20_0000) === 0x6b00_0000 || (word & 0x7fe0_0c10) === 0x7a40_0000;
  if (!ofRegisters) return [];
  return [(word >>> 16) & 31, (word >>> 5) & 31].flatMap((register) => moved.at(register, index));
}

/** Whether the next condition after a comparison is EQ or NE: of a branch, a selection, or another comparison. */
function isForEquality(instruction: (index: number) => number, at: number): boolean {
  for (let index = at + 1; index <= at + conditionReach; index++) {
    const word = instruction(index);
    const condition =
      (word & 0xff00_0010) >>> 0 === 0x5400_0000
        ? word & 15
        : (word & 0x3fe0_0000) >>> 0 === 0x1a80_0000 || (word & 0x3fe0_0400) >>> 0 === 0x3a40_0000
          ? (word >>> 12) & 15
          : undefined;
    if (condition !== undefined) return condition <= 1;
  }
  return false;
}

/** The constants in registers, as far as MOVZ, MOVN and MOVK tell. */
class MovedConstants {
  private readonly registers: { value: number; at: number }[] = [];

  follow(word: number, index: number): void {
    const operation = (word & 0x7f80_0000) >>> 0;
    const half = (word >>> 21) & 3;
    const register = word & 31;
    const value = ((word >>> 5) & 0xffff) * 2 ** (16 * half);
    // Constants of more than 32 bits are addresses and the like.
    if (half > 1) return;
    if (operation === 0x5280_0000) this.registers[register] = { value, at: index };
    else if (operation === 0x1280_0000) this.registers[register] = { value: ~value >>> 0, at: index };
    else if (operation === 0x7280_0000) {
      const before = this.registers[register];
      const kept = half === 0 ? (before?.value ?? 0) - ((before?.value ?? 0) % 65_536) : (before?.value ?? 0) % 65_536;
      this.registers[register] = { value: kept + value, at: index };
    }
  }

  at(register: number, index: number): readonly number[] {
    const moved = this.registers[register];
    return moved !== undefined && index - moved.at <= reach ? [moved.value] : [];
  }
}

function byFrequency(counts: ReadonlyMap<number, number>): readonly number[] {
  return [...counts]
    .sort(([one, times], [other, otherTimes]) => otherTimes - times || one - other)
    .map(([value]) => value);
}
