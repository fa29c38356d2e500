import { framesText } from '../../protocol/panic-text.js';
import { DumpReader } from '../../symbolize/dump-reader.js';
import type { ElfFolders } from '../../symbolize/elf-folder.js';
import { parseConsoleLine } from '../../worlds/qemu/console-line.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';

/** Number of console lines in a verdict. */
const tailLines = 60;
/** Number of innermost stack frames in a signature; outer frames depend on the caller. */
const signedFrames = 3;

const death = /TA panicked with code|User (?:mode|TA) \w+-abort|\bPanic\b|Core \S+-abort|assertion '/;

/** A cheap test whether a line can begin the report of a panic or an abort. */
export function tellsOfDeath(line: string): boolean {
  return death.test(line);
}

/** The verdicts on panics and aborts that the secure console reported during an execution. */
export function consoleVerdicts(lines: readonly string[], elves: ElfFolders): readonly Verdict[] {
  const begins = lines.flatMap((line, index) => (tellsOfDeath(line) ? [index] : []));
  const verdicts: Verdict[] = [];
  for (const [position, at] of begins.entries()) {
    const part = lines.slice(at, begins[position + 1]);
    const verdict = verdictOf(lines.slice(0, at), part, elves);
    if (verdict !== undefined && !verdicts.some(({ signature }) => signature === verdict.signature))
      verdicts.push(verdict);
  }
  // A failed assertion also panics, and an abort of an application also ends it: report one defect, not two.
  return verdicts.some(({ kind }) => kind === 'assertion' || kind === 'abort')
    ? verdicts.filter(({ kind }) => kind !== 'core-panic')
    : verdicts;
}

function verdictOf(before: readonly string[], lines: readonly string[], elves: ElfFolders): Verdict | undefined {
  const reader = new DumpReader();
  // Read the lines that say where ELF files were loaded, which come before the call stack.
  for (const line of before) reader.read(line);
  for (const line of lines) reader.read(line);
  const message = messageOf(lines[0] ?? '');
  const { dump } = reader;
  const stack = dump?.callStack ?? [];
  const named = stack.map((place) => framesText(elves.framesAt(place)));
  const said = [
    ...lines.slice(0, tailLines),
    ...named.flatMap((names, index) => (names === '' ? [] : [`  ${index}: ${names}`])),
  ];
  const console = said.join('\n');
  const places = stack
    .slice(0, signedFrames)
    .map(
      ({ image, offset, address }) =>
        `${image ?? 'somewhere'}+${offset === undefined ? (address & 0xfffn).toString(16) : offset.toString(16)}`,
    )
    .join(' ');
  const assertion = /assertion '(.*)' failed at (\S+)/.exec(message);
  if (assertion !== null) {
    const [, expression = '', place = ''] = assertion;
    return {
      kind: 'assertion',
      signature: `assertion '${expression}' at ${place}`,
      ...{ what: `OP-TEE's core failed the assertion '${expression}' at ${place}`, console },
    };
  }
  // The loader runs as a trusted application. It panics if there is no memory for it, for example.
  if (isOfLoader(lines[0] ?? '') || lines.some((line) => line.endsWith('ldelf panicked')))
    return {
      kind: 'ta-panic',
      signature: 'ldelf panicked',
      ...{ what: `The loader of trusted applications (ldelf) panicked: ${message}`, console },
    };
  if (/^Panic\b/.test(message))
    return {
      kind: 'core-panic',
      signature: withoutAddresses(message),
      what: `OP-TEE's core panicked: ${message}`,
      console,
    };
  if (/^Core \S+-abort/.test(message))
    return {
      kind: 'abort',
      ...{ signature: `${withoutNumbers(message)} ${places}`, what: `OP-TEE's core stopped with ${message}`, console },
    };
  const uuid =
    dump?.uuid ??
    lines.map((line) => /Status of TA ([0-9a-f-]{36})/.exec(line)?.[1]).find((each) => each !== undefined);
  const whose = uuid === undefined ? 'A trusted application' : `The trusted application ${uuid}`;
  const code = /TA panicked with code (\S+)/.exec(message)?.[1];
  if (code !== undefined)
    return {
      kind: 'ta-panic',
      signature: `${uuid ?? '?'} panic ${code} ${places}`,
      what: `${whose} panicked with code ${code}`,
      console,
    };
  const abort = /^User (?:mode|TA) (\S+-abort)/.exec(message)?.[1];
  if (abort !== undefined)
    return {
      kind: 'ta-abort',
      ...{
        signature: `${uuid ?? '?'} ${abort} ${places}`,
        what: `${whose} stopped with a ${abort}: ${message}`,
        console,
      },
    };
  return undefined;
}

function messageOf(line: string): string {
  const { parsed, text } = parseConsoleLine(line);
  return parsed?.message ?? text;
}

function isOfLoader(line: string): boolean {
  return parseConsoleLine(line).parsed?.module === 'LD';
}

function withoutAddresses(message: string): string {
  return message.replaceAll(/0x[0-9a-f]+/gi, '#').trim();
}
