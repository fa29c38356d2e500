import type { TaCallStackEntry, TaPanicReport } from './secure-world.js';

/** Why an application died, as secure world reported it: one line, and its call stack. */
export function panicText(panic: TaPanicReport): string {
  const { code, why, kind, address, callStack = [] } = panic;
  const what =
    kind === 'abort'
      ? `the application aborted${address === undefined ? '' : ` at address 0x${address.toString(16)}`}`
      : `the application panicked with code 0x${code.toString(16)}`;
  return `${why === undefined ? what : `${what}: ${why}`}${stackText(callStack)}`;
}

function stackText(callStack: readonly TaCallStackEntry[]): string {
  if (callStack.length === 0) return '';
  const areNamed = callStack.some(({ frames }) => frames.length > 0);
  const heading = areNamed ? 'call stack:' : 'call stack (functions and lines: from <uuid>.elf beside <uuid>.ta):';
  return [``, heading, ...callStack.map((entry) => `  ${entryText(entry)}`)].join('\n');
}

function entryText({ address, image, offset, frames }: TaCallStackEntry): string {
  const at = `0x${address.toString(16)}`;
  if (frames.length > 0) return `${at} ${framesText(frames)}`;
  return image === undefined || offset === undefined ? at : `${at} ${image}+0x${offset.toString(16)}`;
}

/** `add at adder_ta.c:12, inlined into invoke at adder_ta.c:60` */
export function framesText(frames: TaCallStackEntry['frames']): string {
  return frames
    .map(({ function: name, file, line }) => (file === undefined ? name : `${name} at ${file}:${line}`))
    .join(', inlined into ');
}
