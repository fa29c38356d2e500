import { type SecureWorld, secureWorldBut, type TaPanicReport } from '../protocol/secure-world.js';
import { DumpReader } from './dump-reader.js';
import { type ElfFolders, framesText } from './elf-folder.js';

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
    get why() {
      return explanation().why ?? '';
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
  for (const line of (panic.why ?? '').split('\n')) reader.read(line);
  const { dump } = reader;
  if (dump === undefined) return panic;
  const callStack = dump.callStack.map((place) => ({ ...place, frames: elves.framesAt(place) }));
  const named = callStack.filter(({ frames }) => frames.length > 0);
  const where =
    named.length === 0
      ? ''
      : `call stack:\n${callStack.map(({ address, frames }) => `  0x${address.toString(16)} ${framesText(frames)}`.trimEnd()).join('\n')}\n`;
  const overflow =
    dump.overflown === undefined
      ? ''
      : `its stack of ${dump.overflown} bytes has overflown (TA_STACK_SIZE in user_ta_header_defines.h)\n`;
  return {
    ...panic,
    kind: dump.kind === 'abort' ? 'abort' : 'panic',
    ...(dump.address === undefined ? {} : { address: dump.address }),
    registers: Object.fromEntries(dump.registers),
    callStack,
    why: `${overflow}${where}${panic.why ?? ''}`,
  };
}
