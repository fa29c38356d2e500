import type { Operation, OwnCall } from './caller.js';
import { SESSION_COUNT } from './queue-model.js';

/** The operations of the callers, and the labels of the callers that repeat them. */
export interface Callers {
  readonly callers: readonly (readonly Operation[])[];
  readonly repeating: readonly number[];
}

/** An error in the notation of callers; the message shows the position. */
export class CallersNotationError extends Error {
  override readonly name = 'CallersNotationError';
}

const OPERATION = /^([NSCMXBUR])(\d?)((?:r\d+|>\d+|!)*)$/;

/** The letters of calls that the driver makes for itself. */
const OWN: Readonly<Record<OwnCall, string>> = { cancel: 'X', 'bottom-half': 'B', unregister: 'U', register: 'R' };
const OWN_NAMES = Object.keys(OWN) as readonly OwnCall[];
/** Letters that are not followed by a session number. */
const NO_SESSION = 'NBU';

/**
 * Parses callers in their notation: callers separated by commas, the operations of one caller by `+`.
 *
 * - `N` a normal call; `S`, `S1`, `S2` a call on session 0, 1, 2, which is a system call if that is a system session;
 * `C`, `C1`, `C2` closes the session; `M`, `M1`, `M2` makes it a system session. - The driver's own calls: `X`, `X1`,
 * `X2` cancels a call on session 0, 1, 2; `B` a bottom half; `U` ends a registration; `R`, `R1`, `R2` registers memory
 * for a call on the session. `X`, `B`, `U` and `C` are relief calls. - After a call: `r2` it suspends in two RPCs; `>3`
 * it returns only after caller 3 has finished (the first is 0); `!` it never returns. - Before a caller: `3*` three
 * such callers. After it: `*` it repeats its operations forever.
 *
 * For example `2*N,S1r1+C1,N>2,(N+S)*`, or `2*N>2,X`: two calls that end when they are cancelled.
 * @throws CallersNotationError
 */
export function parseCallers(text: string): Callers {
  const callers: Operation[][] = [];
  const repeating: number[] = [];
  for (const part of text.split(',')) {
    const match = /^(?:(\d+)\*)?\(?([^()*]+)\)?(\*?)$/.exec(part.trim());
    if (match === null) throw new CallersNotationError(`callers: "${part}" is not a caller (in "${text}")`);
    const [, times = '1', list = '', repeats] = match;
    const operations = list.split('+').map((operation) => parseOperation(operation.trim(), text));
    for (let i = Number(times); i > 0; i--) {
      if (repeats === '*') repeating.push(callers.length);
      callers.push(operations);
    }
  }
  callers.flat().forEach((operation) => {
    if ('needs' in operation && operation.needs >= callers.length) {
      throw new CallersNotationError(`callers: ">${operation.needs}", but the last caller is ${callers.length - 1}`);
    }
  });
  refuseEndlessWaits(callers, repeating);
  const endless = repeating.find((label) => callers[label]?.some(({ op }) => op === 'close'));
  if (endless !== undefined) throw new CallersNotationError(`callers: caller ${endless} closes a session for ever`);
  return { callers, repeating };
}

/** A caller that needs one that never finishes, or itself, would wait forever in secure world. */
function refuseEndlessWaits(callers: readonly (readonly Operation[])[], repeating: readonly number[]): void {
  const needed = (label: number) =>
    (callers[label] ?? []).flatMap((operation) =>
      'needs' in operation && operation.needs >= 0 ? [operation.needs] : [],
    );
  const endless = (label: number) =>
    repeating.includes(label) || callers[label]?.some((operation) => 'forever' in operation && operation.forever);
  const finishing = new Set<number>();
  for (let label = 0; label < callers.length; label++) {
    const way = [label];
    const follow = (at: number): void => {
      for (const next of needed(at)) {
        if (finishing.has(next)) continue;
        const circle = way.includes(next);
        if (!circle && !endless(next)) {
          way.push(next);
          follow(next);
          way.pop();
          continue;
        }
        const names = [...way, next].join(' needs ');
        const why =
          next === way.at(-1)
            ? 'it waits for itself'
            : circle
              ? 'they wait for each other for ever'
              : `caller ${next} never finishes`;
        throw new CallersNotationError(`callers: caller ${names}: ${why} (write ! for a call that never returns)`);
      }
      finishing.add(at);
    };
    follow(label);
  }
}

function parseOperation(text: string, all: string): Operation {
  const match = OPERATION.exec(text);
  if (match === null) throw new CallersNotationError(`callers: "${text}" is not an operation (in "${all}")`);
  const [, kind, digit = '', modifiers = ''] = match;
  const hasNone = NO_SESSION.includes(kind ?? '');
  const session = hasNone ? -1 : Number(digit);
  if (session >= SESSION_COUNT || (hasNone && digit !== '')) {
    throw new CallersNotationError(`callers: "${text}": sessions are 0 to ${SESSION_COUNT - 1}, and ${kind} has none`);
  }
  if (kind === 'M') {
    if (modifiers !== '') throw new CallersNotationError(`callers: "${text}": M makes no call`);
    return { op: 'system_session', session };
  }
  const number = (letter: string) => new RegExp(`${letter}(\\d+)`).exec(modifiers)?.[1];
  const own = OWN_NAMES.find((name) => OWN[name] === kind);
  return {
    op: kind === 'C' ? 'close' : 'call',
    ...(own === undefined ? {} : { own }),
    session,
    rpc: Number(number('r') ?? 0),
    needs: Number(number('>') ?? -1),
    forever: modifiers.includes('!'),
  };
}

/** One caller in the notation of `parseCallers`. */
export function callerNotation(operations: readonly Operation[], repeats = false): string {
  const list = operations.map((operation) => {
    const digit = operation.session > 0 ? operation.session : '';
    if (operation.op === 'system_session') return `M${digit}`;
    const kind = letterOf(operation);
    const rpc = operation.rpc > 0 ? `r${operation.rpc}` : '';
    const needs = operation.needs >= 0 ? `>${operation.needs}` : '';
    return `${kind}${digit}${rpc}${needs}${operation.forever ? '!' : ''}`;
  });
  if (!repeats) return list.join('+');
  return list.length > 1 ? `(${list.join('+')})*` : `${list.join('+')}*`;
}

function letterOf({ op, own, session }: Exclude<Operation, { readonly op: 'system_session' }>): string {
  if (own !== undefined) return OWN[own];
  if (op === 'close') return 'C';
  return session < 0 ? 'N' : 'S';
}
