import { isRpcReturn, OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcFunction } from '../protocol/optee-smc.js';
import { rpcCommandNotRecorded, type TraceEvent } from './event.js';
import { encodeEvent } from './event-codec.js';
import type { TraceRecorder } from './trace.js';

/** What an import found in a record of Linux's tracepoints. */
export interface LinuxImport {
  /** Lines of the two tracepoints. */
  readonly lines: number;
  /** Lines that could not be used: the first ones, with the reason. */
  readonly refused: readonly { readonly line: number; readonly why: string }[];
  readonly refusedCount: number;
}

/** How many refused lines are told one by one. */
const refusalsTold = 20;

// `task-123  [001] d..2.  12.345678: optee_invoke_fn_begin: param=... (32000013, ...)`: kernel's trace file and trace-cmd
// report; a thread group `(  123)` may follow the task, the flags may be missing.
const linePattern =
  /^\s*(?<task>.+?)-(?<pid>\d+)\s+(?:\(\s*[-\d]+\)\s+)?\[\d+\]\s+(?:\S+\s+)?(?<seconds>\d+)\.(?<fraction>\d+):\s+optee_invoke_fn_(?<which>begin|end):\s+(?<rest>.*)$/;
/** `CPU:1 [LOST 12 EVENTS]` in the kernel's file, `CPU:1 [12 EVENTS DROPPED]` from trace-cmd; the number may be missing. */
const gapPattern = /^CPU:\d+ \[(?:LOST )?(?<lost>\d+ )?EVENTS(?: DROPPED)?\]/;
const registersPattern = /\((?<list>[0-9a-fx, ]+)\)\s*$/;

interface OpenCall {
  readonly number: number;
  inRpc: boolean;
  /** A world-enter came, and no world-exit yet. */
  inside: boolean;
}

/**
 * Import what Linux's tracepoints `optee_invoke_fn_begin` and `optee_invoke_fn_end` recorded, as `trace-cmd report` or the
 * kernel's `trace` file prints it. They are in drivers/tee/optee/optee_trace.h and tell every entry of a yielding call to
 * secure world and every return, with the registers. They do not tell: the wait before a call's first entry (Linux 6.8 and
 * later sleep there), the command of an RPC, the session, and who woke whom.
 */
export function importLinuxTrace(lines: Iterable<string>, into: TraceRecorder): LinuxImport {
  into.describe({ world: 'Linux, from tracepoints', clock: 'linux' });
  const open = new Map<string, OpenCall>();
  const refused: { line: number; why: string }[] = [];
  let refusedCount = 0;
  let used = 0;
  let calls = 0;
  let lineNumber = 0;
  const refuse = (why: string) => {
    refusedCount++;
    if (refused.length < refusalsTold) refused.push({ line: lineNumber, why });
  };
  for (const line of lines) {
    lineNumber++;
    const gap = gapPattern.exec(line);
    if (gap !== null) {
      refuse(`the kernel lost ${gap.groups?.lost ?? ''}events here: its buffer was full`);
      continue;
    }
    if (!line.includes('optee_invoke_fn_')) continue;
    const match = linePattern.exec(line)?.groups;
    const list = match && registersPattern.exec(match.rest ?? '')?.groups?.list;
    if (match === undefined || list === undefined) {
      // The kernel's own header and lost-event lines may name the tracepoints without being one.
      if (!line.trimStart().startsWith('#')) refuse('this is not how the kernel prints the tracepoint');
      continue;
    }
    const registers = list.split(',').map((register) => Number.parseInt(register.trim(), 16));
    const a0 = (registers[0] ?? Number.NaN) % 2 ** 32;
    if (Number.isNaN(a0)) {
      refuse('register a0 is no hexadecimal number');
      continue;
    }
    const time = Number(match.seconds) * 1000 + Number(`0.${match.fraction}`) * 1000;
    const put = (event: TraceEvent) => encodeEvent(into, time, event);
    const task = `${match.task}-${match.pid}`;
    const call = open.get(task);
    used++;
    if (match.which === 'begin') {
      const resumes = a0 === OpteeSmc.returnFromRpc;
      if (call === undefined || (!resumes && call.inRpc)) {
        if (resumes) {
          refuse(`${task} resumes a call whose beginning was not recorded`);
          continue;
        }
        if (call !== undefined) refuse(`${task} begins a call while one of its own is in an RPC: the record has a gap`);
        const number = ++calls;
        put({ type: 'call-begin', call: number, context: task, purpose: 'unknown', session: 0, system: false });
        put({ type: 'world-enter', call: number, function: a0 });
        open.set(task, { number, inRpc: false, inside: true });
        continue;
      }
      if (call.inRpc) put({ type: 'rpc-end', call: call.number, command: rpcCommandNotRecorded, result: 0 });
      call.inRpc = false;
      call.inside = true;
      put({ type: 'world-enter', call: call.number, function: a0 });
      continue;
    }
    if (call === undefined || !call.inside) {
      refuse(`${task} returns from secure world, and its entry was not recorded`);
      continue;
    }
    call.inside = false;
    if (a0 === OpteeSmcReturn.ethreadLimit) {
      put({ type: 'world-exit', call: call.number, a0 });
      put({ type: 'queue-sleep', call: call.number, limit: true });
    } else if (isRpcReturn(a0)) {
      call.inRpc = true;
      put({ type: 'world-exit', call: call.number, a0, thread: (registers[3] ?? 0) % 2 ** 32 });
      if (rpcFunction(a0) === OpteeSmcRpc.cmd)
        put({ type: 'rpc-begin', call: call.number, command: rpcCommandNotRecorded });
    } else {
      put({ type: 'world-exit', call: call.number, a0 });
      put({ type: 'call-end', call: call.number, smcReturn: a0 });
      open.delete(task);
    }
  }
  return { lines: used, refused, refusedCount };
}
