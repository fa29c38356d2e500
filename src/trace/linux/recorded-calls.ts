import {
  isRpcReturn,
  OpteeSmc,
  OpteeSmcReturn,
  OpteeSmcRpc,
  rpcFunction,
  rpcReturn,
} from '../../protocol/optee-smc.js';
import { maxThreads, rpcCommandNotRecorded, type TraceEvent, threadNotRecorded } from '../event.js';
import { encodeEvent } from '../event-codec.js';
import { rpcFunctionNotRecorded } from '../rpc-name.js';
import type { TraceRecorder } from '../trace.js';
import type { TracepointLine } from './tracepoint-line.js';

/** A call that has begun and not ended. */
export interface OpenCall {
  readonly number: number;
  readonly pid: number;
  readonly param: string;
  /** Where its last line left it. */
  state: 'inside' | 'rpc' | 'queue';
  /** Secure world's thread, as far as an RPC told. */
  thread: number | undefined;
  /** When it came to where it is, milliseconds. */
  since: number;
  /** A later line goes on with it. */
  continues: boolean;
}

/** What a record lacked so that its lines make calls. */
export interface RecordGaps {
  /** Calls that had begun before the record did. */
  beganBefore: number;
  /** Lines between two others of a call that must have been there. */
  missing: number;
}

/**
 * Makes calls out of lines in the order of time. A task may be in several calls, each within an RPC of the one before: it
 * answers the RPC itself, inside the kernel, and that may need OP-TEE again (a clock behind SCMI). So each task has a stack of
 * calls, told apart by their parameter. What the record does not begin with began before it; what it has lost is made up.
 */
export class RecordedCalls {
  readonly gaps: RecordGaps = { beganBefore: 0, missing: 0 };
  /** Threads of secure world that RPCs named. */
  readonly threadsSeen = new Set<number>();
  /** The last refusal by ETHREAD_LIMIT, and the last return of a thread: milliseconds. */
  lastRefusal = Number.NEGATIVE_INFINITY;
  lastFreed = Number.NEGATIVE_INFINITY;
  calls = 0;
  private readonly stacks = new Map<number, OpenCall[]>();

  /** @param begin the time of the record's first line, milliseconds. */
  constructor(
    private readonly into: TraceRecorder,
    private readonly begin: number,
    private readonly nameOf: (pid: number) => string,
    /** Whether a later line of the record goes on with the call of this one. */
    private readonly continues: (line: TracepointLine) => boolean,
  ) {}

  /** Every call that is open, by the number of its task, the outermost first. */
  openCalls(): ReadonlyMap<number, readonly OpenCall[]> {
    return this.stacks;
  }

  /** Whether a line is one that can come now: among lines of one moment, it is the next then. */
  fits({ which, pid, param }: TracepointLine): boolean {
    const call = this.stacks.get(pid)?.at(-1);
    const inside = call?.state === 'inside';
    return which === 'end' ? inside && call.param === param : !inside;
  }

  put(time: number, event: TraceEvent): void {
    encodeEvent(this.into, time, event);
  }

  /** Put a call to sleep that has not entered secure world: only the stack of its task tells. */
  sleepBeforeEntry(time: number, pid: number): void {
    const call = this.start(time, pid, 'asleep before its first entry');
    call.state = 'queue';
    this.put(time, { type: 'queue-sleep', call: call.number, limit: false });
  }

  /** A thread that no line names, though one with a higher number is in use: a call holds it that began before the record. */
  holdUnseen(thread: number): void {
    const call = this.start(this.begin, -1 - thread, '', 'not in the record');
    this.enter(this.begin, call, OpteeSmc.callWithArg);
  }

  /** Begin a call that has no line of its own. */
  start(time: number, pid: number, param: string, name = this.nameOf(pid)): OpenCall {
    const call: OpenCall = {
      number: ++this.calls,
      pid,
      param,
      state: 'inside',
      thread: undefined,
      since: time,
      continues: false,
    };
    this.put(time, {
      type: 'call-begin',
      call: call.number,
      context: name,
      purpose: 'unknown',
      session: 0,
      system: false,
    });
    const stack = this.stacks.get(pid);
    if (stack === undefined) this.stacks.set(pid, [call]);
    else stack.push(call);
    return call;
  }

  read(line: TracepointLine): void {
    if (line.which === 'begin') this.enters(line);
    else this.returns(line);
    const call = this.find(line.pid, line.param);
    if (call !== undefined) call.continues = this.continues(line);
  }

  private enters({ time, pid, param, registers }: TracepointLine): void {
    const [functionId = 0, , , thread = 0] = registers;
    const resumes = functionId === OpteeSmc.returnFromRpc;
    const known = this.find(pid, param);
    if (resumes) {
      const call = known ?? this.begunUnseen(time, pid, param);
      this.closeAbove(time, call);
      if (call.state !== 'rpc') this.missedExit(time, call, thread);
      this.put(time, { type: 'rpc-end', call: call.number, command: rpcCommandNotRecorded, result: 0 });
      this.enter(time, call, functionId);
      return;
    }
    if (known?.state === 'queue') {
      this.closeAbove(time, known);
      this.enter(time, known, functionId);
      return;
    }
    // Its parameter lies where that of a call lay whose end is lost.
    if (known !== undefined) this.lost(time, known);
    const top = this.stacks.get(pid)?.at(-1);
    // Nobody makes a call while he sleeps, or is in secure world: what was before has ended.
    if (top !== undefined && top.state !== 'rpc' && !top.continues) this.lost(time, top);
    this.enter(time, this.start(time, pid, param), functionId);
  }

  private returns({ time, pid, param, registers }: TracepointLine): void {
    const [a0 = 0, , , thread = 0] = registers;
    const call = this.find(pid, param) ?? this.begunUnseen(time, pid, param);
    this.closeAbove(time, call);
    if (call.state !== 'inside') {
      this.gaps.missing++;
      if (call.state === 'rpc')
        this.put(time, { type: 'rpc-end', call: call.number, command: rpcCommandNotRecorded, result: 0 });
      this.enter(time, call, OpteeSmc.returnFromRpc);
    }
    call.since = time;
    if (a0 === OpteeSmcReturn.ethreadLimit) {
      call.state = 'queue';
      this.lastRefusal = time;
      this.put(time, { type: 'world-exit', call: call.number, a0 });
      this.put(time, { type: 'queue-sleep', call: call.number, limit: true });
    } else if (isRpcReturn(a0)) this.leaveForRpc(time, call, a0, thread);
    else {
      this.put(time, { type: 'world-exit', call: call.number, a0 });
      this.finish(time, call, a0);
    }
  }

  private leaveForRpc(time: number, call: OpenCall, a0: number, thread: number): void {
    call.state = 'rpc';
    call.thread = thread < maxThreads ? thread : undefined;
    if (call.thread !== undefined) this.threadsSeen.add(call.thread);
    this.put(time, { type: 'world-exit', call: call.number, a0, thread: call.thread ?? threadNotRecorded });
    if (rpcFunction(a0) === OpteeSmcRpc.cmd)
      this.put(time, { type: 'rpc-begin', call: call.number, command: rpcCommandNotRecorded });
  }

  private enter(time: number, call: OpenCall, functionId: number): void {
    call.state = 'inside';
    call.since = time;
    this.put(time, { type: 'world-enter', call: call.number, function: functionId });
  }

  private find(pid: number, param: string): OpenCall | undefined {
    return this.stacks.get(pid)?.findLast((call) => call.param === param);
  }

  /** A call of which the record shows the beginning nowhere: it was there before. To be told of before any line is read. */
  beganBefore({ pid, param, registers, which }: TracepointLine): void {
    this.gaps.beganBefore++;
    const call = this.start(this.begin, pid, param);
    this.enter(this.begin, call, OpteeSmc.callWithArg);
    if (which === 'begin') this.leaveForRpc(this.begin, call, rpcReturn(rpcFunctionNotRecorded), registers[3] ?? 0);
  }

  /** A call whose beginning is lost. */
  private begunUnseen(time: number, pid: number, param: string): OpenCall {
    this.gaps.missing++;
    const call = this.start(time, pid, param);
    this.enter(time, call, OpteeSmc.callWithArg);
    return call;
  }

  /** It resumes from an RPC whose beginning is not in the record. */
  private missedExit(time: number, call: OpenCall, thread: number): void {
    if (call.state === 'queue') this.enter(time, call, OpteeSmc.callWithArg);
    this.gaps.missing++;
    this.leaveForRpc(time, call, rpcReturn(rpcFunctionNotRecorded), thread);
  }

  /** The task goes on with a call, so what it did within an RPC of it is over. */
  private closeAbove(time: number, call: OpenCall): void {
    const stack = this.stacks.get(call.pid) ?? [];
    for (const above of stack.slice(stack.indexOf(call) + 1).reverse()) if (!above.continues) this.lost(time, above);
  }

  /** Its end is not in the record. */
  private lost(time: number, call: OpenCall): void {
    this.gaps.missing++;
    this.finish(time, call, OpteeSmcReturn.ok);
  }

  private finish(time: number, call: OpenCall, smcReturn: number): void {
    this.put(time, { type: 'call-end', call: call.number, smcReturn });
    if (call.state !== 'queue') this.lastFreed = time;
    const stack = this.stacks.get(call.pid) ?? [];
    const at = stack.indexOf(call);
    if (at >= 0) stack.splice(at, 1);
    if (stack.length === 0) this.stacks.delete(call.pid);
  }
}
