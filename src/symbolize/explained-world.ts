import { type SecureWorld, secureWorldBut, type TaPanicReport } from '../protocol/secure-world.js';
import { DumpReader } from './dump-reader.js';
import type { ElfFolders } from './elf-folder.js';

/** Wraps a world so that the dumps of application panics are parsed and call stacks have functions and lines. */
export function explainedWorld(world: SecureWorld, elves: ElfFolders): SecureWorld {
  const { panics } = world;
  if (panics === undefined) return world;
  return secureWorldBut(world, {
    panics: { listen: (handler) => panics.listen((panic) => handler(explained(panic, elves))) },
  });
}

/** Finding names starts a program, so it is only done when they are read, and once. */
function explained(panic: TaPanicReport, elves: ElfFolders): TaPanicReport {
  let known: TaPanicReport | undefined;
  const explanation = () => {
    known ??= explain(panic, elves);
    return known;
  };
  return {
    uuid: panic.uuid,
    code: panic.code,
    console: panic.console ?? [],
    get why() {
      return explanation().why;
    },
    get kind() {
      return explanation().kind ?? 'panic';
    },
    get address() {
      return explanation().address;
    },
    get registers() {
      return explanation().registers ?? {};
    },
    get callStack() {
      return explanation().callStack ?? [];
    },
  };
}

function explain(panic: TaPanicReport, elves: ElfFolders): TaPanicReport {
  const reader = new DumpReader();
  for (const line of panic.console ?? []) reader.read(line);
  const { dump } = reader;
  if (dump === undefined) return panic;
  const callStack = dump.callStack.map((place) => ({ ...place, frames: elves.framesAt(place) }));
  const overflow =
    dump.overflown === undefined
      ? {}
      : { why: `its stack of ${dump.overflown} bytes has overflown (TA_STACK_SIZE in user_ta_header_defines.h)` };
  return {
    ...panic,
    kind: dump.kind === 'abort' ? 'abort' : 'panic',
    ...(dump.address === undefined ? {} : { address: dump.address }),
    registers: Object.fromEntries(dump.registers),
    callStack,
    ...overflow,
  };
}
