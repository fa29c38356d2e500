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
  /** Its state after its last line. */
  state: 'inside' | 'rpc' | 'queue';
  /** Its thread in secure world, if an RPC named it. */
  thread: number | undefined;
  /** When it entered this state, in milliseconds. */
  since: number;
  /** A later line continues it. */
  continues: boolean;
}

/** What is missing in a record. */
export interface RecordGaps {
  /** Number of calls that began before the record. */
  beganBefore: number;
  /** Number of lines that are missing within calls. */
  missing: number;
}

/**
 * Reconstructs calls from lines in order of time. A task may be in several calls, each within an RPC of the one before:
 * it serves the RPC itself in the kernel, and that may need OP-TEE again (a clock behind SCMI). So each task has a
 * stack of calls, which are distinguished by their parameter. A call without a beginning began before the record; lost
 * lines are inferred.
 */
export class RecordedCalls {
  readonly gaps: RecordGaps = { beganBefore: 0, missing: 0 };
  /** Numbers of the threads that RPCs named. */
  readonly threadsSeen = new Set<number>();
  /** Times of the last ETHREAD_LIMIT and of the last return of a thread, in milliseconds. */
  lastRefusal = Number.NEGATIVE_INFINITY;
  lastFreed = Number.NEGATIVE_INFINITY;
  calls = 0;
  private readonly stacks = new Map<number, OpenCall[]>();

  /** @param begin the time of the record's first line, in milliseconds. */
  constructor(
    private readonly into: TraceRecorder,
    private readonly begin: number,
    private readonly nameOf: (pid: number) => string,
    /** Whether a later line of the record continues this line's call. */
    private readonly continues: (line: TracepointLine) => boolean,
  ) {}

  /** All open calls, by task, the outermost first. */
  openCalls(): ReadonlyMap<number, readonly OpenCall[]> {
    return this.stacks;
  }

  /** Whether a line can be the next one: used to order lines with the same time. */
  fits({ which, pid, param }: TracepointLine): boolean {
    const call = this.stacks.get(pid)?.at(-1);
    const inside = call?.state === 'inside';
    return which === 'end' ? inside && call.param === param : !inside;
  }

  put(time: number, event: TraceEvent): void {
    encodeEvent(this.into, time, event);
  }

  /** Put a call to sleep that has not entered secure world; only the stack of its task shows it. */
  sleepBeforeEntry(time: number, pid: number): void {
    const call = this.start(time, pid, 'asleep before its first entry');
    call.state = 'queue';
    this.put(time, { type: 'queue-sleep', call: call.number, limit: false });
  }

  /** A call in an RPC of which no line is in the record; only the stack of its task shows it. */
  inRpcUnseen(time: number, pid: number): void {
    const call = this.start(time, pid, 'in an RPC');
    this.enter(time, call, OpteeSmc.callWithArg);
    this.leaveForRpc(time, call, rpcReturn(OpteeSmcRpc.cmd), threadNotRecorded);
    call.since = time;
  }

  /** A call in secure world of which no line is in the record; only the stack of its task shows it. */
  insideUnseen(time: number, pid: number): void {
    this.enter(time, this.start(time, pid, 'in secure world'), OpteeSmc.callWithArg);
  }

  /** A thread that no line names, although a higher number is in use: a call that began before the record holds it. */
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
    // A call with the same parameter address is open, so its end was lost.
    if (known !== undefined) this.lost(time, known);
    const top = this.stacks.get(pid)?.at(-1);
    // A task makes no new call while it sleeps or is in secure world, so the end of its call was lost.
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

  /** Register a call whose beginning is not recorded. Must be called before the lines are processed. */
  beganBefore({ pid, param, registers, which }: TracepointLine): void {
    this.gaps.beganBefore++;
    const call = this.start(this.begin, pid, param);
    this.enter(this.begin, call, OpteeSmc.callWithArg);
    if (which === 'begin') this.leaveForRpc(this.begin, call, rpcReturn(rpcFunctionNotRecorded), registers[3] ?? 0);
  }

  /** A call whose beginning was lost. */
  private begunUnseen(time: number, pid: number, param: string): OpenCall {
    this.gaps.missing++;
    const call = this.start(time, pid, param);
    this.enter(time, call, OpteeSmc.callWithArg);
    return call;
  }

  /** The call resumes from an RPC whose beginning is not in the record. */
  private missedExit(time: number, call: OpenCall, thread: number): void {
    if (call.state === 'queue') this.enter(time, call, OpteeSmc.callWithArg);
    this.gaps.missing++;
    this.leaveForRpc(time, call, rpcReturn(rpcFunctionNotRecorded), thread);
  }

  /** The task continues this call, so its calls within the RPC have ended. */
  private closeAbove(time: number, call: OpenCall): void {
    const stack = this.stacks.get(call.pid) ?? [];
    for (const above of stack.slice(stack.indexOf(call) + 1).reverse()) if (!above.continues) this.lost(time, above);
  }

  /** The call's end is not in the record. */
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
