import type { Context } from '../../client/context.js';
import { memref, type SharedMemref } from '../../client/parameters.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import type { Verdict } from '../engine/verdict.js';
import { mostOctets } from './application-grammar.js';

const places = 4;
/** Octets before and behind each buffer that must not be written. */
const guard = 128;
const placeSize = guard + mostOctets + guard;
const guardOctet = 0xc5;

interface Given {
  readonly place: number;
  readonly direction: string;
  readonly octets: Uint8Array;
}

/** Shared memory with buffers for an application, each between two guard areas. */
export class GivenMemory {
  private readonly given: Given[] = [];

  private constructor(private readonly memory: SharedMemory) {
    memory.bytes.fill(guardOctet);
  }

  static async of(context: Context): Promise<GivenMemory> {
    return new GivenMemory(await context.allocateSharedMemory(places * placeSize));
  }

  /** Copy octets into the buffer of parameter number `place`. */
  give(place: number, direction: string, octets: Uint8Array): SharedMemref {
    const offset = place * placeSize + guard;
    this.memory.bytes.set(octets, offset);
    this.given.push({ place, direction, octets });
    const part = { offset, size: octets.length };
    return direction === 'input'
      ? memref.input(this.memory, part)
      : direction === 'output'
        ? memref.output(this.memory, part)
        : memref.inout(this.memory, part);
  }

  /** Check that only output buffers were written, then reset the memory. */
  check(): readonly Verdict[] {
    const verdicts: Verdict[] = [];
    const { bytes } = this.memory;
    for (const { place, direction, octets } of this.given) {
      const begin = place * placeSize;
      const end = begin + guard + octets.length;
      if (!isGuard(bytes, begin, begin + guard)) verdicts.push(written(`before parameter ${place}`, direction));
      if (!isGuard(bytes, end, end + guard)) verdicts.push(written(`after parameter ${place}`, direction));
      if (direction === 'input' && !isSame(bytes, begin + guard, octets))
        verdicts.push(written(`in parameter ${place}, which is an input`, direction));
      bytes.fill(guardOctet, begin, end + guard);
    }
    this.given.length = 0;
    return verdicts;
  }
}

function isGuard(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== guardOctet) return false;
  return true;
}

function isSame(bytes: Uint8Array, from: number, octets: Uint8Array): boolean {
  for (let at = 0; at < octets.length; at++) if (bytes[from + at] !== octets[at]) return false;
  return true;
}

function written(where: string, direction: string): Verdict {
  return {
    kind: 'memory',
    ...{
      signature: `memory: ${where} (memref.${direction})`,
      what: `Secure world wrote ${where} (memref.${direction})`,
    },
  };
}
