import { RpcCommand, RpcNotification } from '../../protocol/optee-rpc-command.js';
import { OpteeSmcReturn, rpcFunction } from '../../protocol/optee-smc.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { type CallPurpose, callPurposes, maxThreads, purposeNumbers, rpcCommandNotRecorded } from '../event.js';
import { EventKind, flagBit, kindMask } from '../event-codec.js';
import type { TraceTable } from '../nwt/trace-table.js';
import { CallState, type Notification, type RpcWait, type Segment, type WakeUp } from './call-state.js';
import { float64Column, int32Column, uint8Column, uint32Column } from './column.js';
import { assignThreads } from './thread-lanes.js';

export { CallState, type Notification, type RpcWait, type Segment, type WakeUp } from './call-state.js';

/** The value of `Timeline.endRecord` for what has not ended at the end of the trace. */
const unfinished = 0xffff_ffff;
/** Smallest number of records between two checkpoints of the state; it is larger if more calls are open. */
const checkpointEvery = 4096;

/**
 * The calls of a trace as spans of time, in columns, so that a million events need little memory. Calls and segments
 * are identified by their index, in order of their beginning.
 */
export class Timeline {
  /** Times of the first and last event, in milliseconds; 0 in an empty trace. */
  readonly begin: number;
  readonly end: number;
  /** Labels of clients, in order of appearance. */
  readonly clients: string[] = [];
  readonly callNumber = uint32Column();
  readonly callClient = uint32Column();
  readonly callPurpose = uint8Column();
  readonly callSession = uint32Column();
  readonly callSystem = uint8Column();
  readonly callBegin = float64Column();
  readonly callEnd = float64Column();
  readonly callBeginRecord = uint32Column();
  readonly callEndRecord = uint32Column();
  /** The last result from secure world. */
  readonly callReturn = uint32Column();
  /** The first segment of each call; `segmentNext` gives the next one; -1 at the end. */
  readonly callFirstSegment = int32Column();
  /** The thread that the call held, recorded or inferred; -1 if it held none or the thread is unknown. */
  readonly callThread = int32Column();
  /** 1 if the thread was recorded. */
  readonly callThreadKnown = uint8Column();
  /** The first entry that was not refused: its time (NaN if the call never entered), and its record. */
  readonly callEntered = float64Column();
  readonly callEnteredRecord = uint32Column();

  readonly segmentCall = uint32Column();
  readonly segmentState = uint8Column();
  readonly segmentStart = float64Column();
  readonly segmentEnd = float64Column();
  readonly segmentStartRecord = uint32Column();
  readonly segmentEndRecord = uint32Column();
  readonly segmentCommand = uint32Column();
  readonly segmentNext = int32Column();

  readonly wakeUps: WakeUp[] = [];
  /** By call: what its RPCs waited for, in order. */
  readonly rpcWaits = new Map<number, RpcWait[]>();
  /** Notifications that a call received, in the order of the answers. */
  readonly notifications: Notification[] = [];
  /** The notification value that an RPC waits for, by the record of the exit with that RPC. */
  readonly awaitedValues = new Map<number, number>();
  /** Records of system sessions and of session closes. */
  readonly sessionRecords: number[] = [];
  /** Records of ETHREAD_LIMIT. */
  readonly threadLimits: number[] = [];
  /** The call of each of those records. */
  readonly threadLimitCalls: number[] = [];
  /** Records without a call: console lines, faults, marks, violations, panics, notifications. */
  readonly notes: number[] = [];
  /** Number of threads: announced, recorded, or the largest number of calls inside at the same time. */
  readonly threads: number;
  /** The source of that number. */
  readonly threadsFrom: 'announced' | 'recorded' | 'inferred';
  /** By session: the UUID of its application. */
  readonly sessionUuid = new Map<number, string>();

  /** The segments of call 0, then those of call 1, and so on; and the index of each call's first segment. */
  private readonly segmentOrder: Uint32Array;
  private readonly segmentOffset: Uint32Array;
  private readonly clientIds = new Map<string, number>();
  /** Index of each open call, by number. */
  private readonly open = new Map<number, number>();
  private readonly lastSegment = int32Column();
  private readonly checkpoints: { readonly record: number; readonly open: readonly number[] }[] = [];
  /** By call: the notifications that it received. */
  private readonly notificationsTo = new Map<number, Notification[]>();
  /** The last sender of each notification value that no call has received yet. */
  private readonly sent = new Map<number, { readonly record: number; readonly by: number }>();

  constructor(readonly table: TraceTable) {
    const { length } = table;
    this.begin = length === 0 ? 0 : table.time(0);
    this.end = length === 0 ? 0 : table.time(length - 1);
    for (let record = 0; record < length; record++) {
      if (record - (this.checkpoints.at(-1)?.record ?? -checkpointEvery) >= Math.max(checkpointEvery, this.open.size))
        this.checkpoints.push({ record, open: [...this.open.values()] });
      this.read(record);
    }
    for (const call of this.open.values()) this.closeSegment(call, this.end, unfinished);
    const { order, offset } = this.segmentsByCall();
    this.segmentOrder = order;
    this.segmentOffset = offset;
    const lanes = assignThreads(this);
    this.threads = lanes.threads;
    this.threadsFrom = lanes.from;
  }

  get callCount(): number {
    return this.callNumber.length;
  }

  get segmentCount(): number {
    return this.segmentCall.length;
  }

  purposeOf(call: number): CallPurpose {
    return callPurposes[this.callPurpose.at(call)] ?? 'unknown';
  }

  clientOf(call: number): string {
    return this.clients[this.callClient.at(call)] ?? '';
  }

  /** Whether the call has not ended at the end of the trace. */
  isUnfinished(call: number): boolean {
    return this.callEndRecord.at(call) === unfinished;
  }

  segment(index: number): Segment {
    return {
      call: this.segmentCall.at(index),
      state: this.segmentState.at(index),
      start: this.segmentStart.at(index),
      end: this.segmentEnd.at(index),
      startRecord: this.segmentStartRecord.at(index),
      endRecord: this.segmentEndRecord.at(index),
      command: this.segmentCommand.at(index),
      rpcFunction: this.segmentRpcFunction(index),
    };
  }

  /** The RPC function of a segment, which begins with the exit that requests the RPC. */
  segmentRpcFunction(index: number): number {
    if (this.segmentState.at(index) !== CallState.rpc) return 0;
    return rpcFunction(this.table.a(this.segmentStartRecord.at(index)));
  }

  *segmentsOf(call: number): Generator<Segment> {
    for (let index = this.callFirstSegment.at(call); index >= 0; index = this.segmentNext.at(index))
      yield this.segment(index);
  }

  /** The last segment of a call that begins at a record or before; -1 if there is none. */
  segmentAt(call: number, record: number): number {
    const { segmentOrder, segmentOffset, segmentStartRecord } = this;
    const first = segmentOffset[call] ?? 0;
    let low = first;
    let high = segmentOffset[call + 1] ?? first;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segmentStartRecord.at(segmentOrder[middle] ?? 0) <= record) low = middle + 1;
      else high = middle;
    }
    return low > first ? (segmentOrder[low - 1] ?? -1) : -1;
  }

  /** All open calls right after a record, oldest first, with their current segments. */
  stateAfter(record: number): Segment[] {
    const checkpoint = this.checkpoints.findLast((each) => each.record <= record);
    const known = checkpoint?.open ?? [];
    const from = this.callBeginRecord.lowerBound(checkpoint?.record ?? 0);
    const to = this.callBeginRecord.lowerBound(record + 1);
    const candidates = new Set(known);
    for (let call = from; call < to; call++) candidates.add(call);
    const state: Segment[] = [];
    for (const call of candidates) {
      const index = this.segmentAt(call, record);
      if (index >= 0 && this.segmentEndRecord.at(index) > record) state.push(this.segment(index));
    }
    return state.sort((a, b) => a.call - b.call);
  }

  /** The notification that answered the RPC of a call that began at a record; undefined if it did not arrive. */
  notificationOf(call: number, startRecord: number): Notification | undefined {
    return this.notificationsTo.get(call)?.find(({ answeredRecord }) => answeredRecord >= startRecord);
  }

  private segmentsByCall(): { readonly order: Uint32Array; readonly offset: Uint32Array } {
    const offset = new Uint32Array(this.callCount + 1);
    const order = new Uint32Array(this.segmentCount);
    let at = 0;
    for (let call = 0; call < this.callCount; call++) {
      offset[call] = at;
      for (let index = this.callFirstSegment.at(call); index >= 0; index = this.segmentNext.at(index))
        order[at++] = index;
    }
    offset[this.callCount] = at;
    return { order, offset };
  }

  private read(record: number): void {
    const { table } = this;
    const time = table.time(record);
    const kind = table.kind(record);
    const number = table.call(record);
    switch (kind & kindMask) {
      case EventKind.callBegin:
        this.beginCall(record, time, number);
        return;
      case EventKind.sessionOpen: {
        const text = table.text(record);
        this.sessionUuid.set(table.a(record), text.slice(text.lastIndexOf('\n') + 1));
        return;
      }
      case EventKind.systemSession:
      case EventKind.sessionClose:
        this.sessionRecords.push(record);
        return;
      case EventKind.notification:
        this.sent.set(table.a(record), { record, by: -1 });
        this.notes.push(record);
        return;
      case EventKind.secureConsole:
      case EventKind.simulatedFault:
      case EventKind.taPanic:
      case EventKind.mark:
      case EventKind.protocolViolation:
        this.notes.push(record);
        return;
      default:
        break;
    }
    const call = this.open.get(number);
    // The beginning of the call was not recorded.
    if (call === undefined) return;
    switch (kind & kindMask) {
      case EventKind.queueSleep:
        this.enter(call, CallState.queue, time, record);
        break;
      case EventKind.queueWake: {
        const unused = (kind & flagBit) === 0;
        this.wakeUps.push({ record, time, call, by: this.open.get(table.a(record)) ?? -1, unused });
        if (!unused) this.enter(call, CallState.door, time, record);
        break;
      }
      case EventKind.worldEnter:
        this.enterSecureWorld(call, time, record);
        break;
      case EventKind.worldExit:
        if ((kind & flagBit) !== 0) {
          if (table.b(record) < maxThreads) {
            this.callThread.set(call, table.b(record));
            this.callThreadKnown.set(call, 1);
          }
          this.enter(call, CallState.rpc, time, record);
        } else {
          if (table.a(record) === OpteeSmcReturn.ethreadLimit) {
            this.threadLimits.push(record);
            this.threadLimitCalls.push(call);
            this.callEntered.set(call, Number.NaN);
          }
          this.enter(call, CallState.door, time, record);
        }
        break;
      case EventKind.rpcBegin: {
        // The command is recorded right after the exit with its RPC, and belongs to that segment.
        const last = this.lastSegment.at(call);
        if (this.segmentState.at(last) === CallState.rpc) this.segmentCommand.set(last, table.a(record));
        if (table.a(record) === RpcCommand.notification && (kind & flagBit) !== 0) {
          if (table.b(record) === RpcNotification.wait)
            this.awaitedValues.set(this.segmentStartRecord.at(last), table.c(record));
          else this.sent.set(table.c(record), { record, by: call });
        }
        break;
      }
      case EventKind.rpcEnd:
        this.endWait(call, record);
        break;
      case EventKind.rpcWait: {
        const waits = this.rpcWaits.get(call) ?? [];
        this.rpcWaits.set(call, waits);
        waits.push({ record, needs: this.open.get(table.a(record)) ?? -1, through: table.text(record) });
        break;
      }
      case EventKind.callEnd:
        this.callEnd.set(call, time);
        this.callEndRecord.set(call, record);
        this.callReturn.set(call, table.a(record));
        this.closeSegment(call, time, record);
        this.open.delete(number);
        break;
      default:
        break;
    }
  }

  /** An RPC was answered. If it waited for a notification, that has arrived, or the wait has timed out. */
  private endWait(call: number, record: number): void {
    const value = this.awaitedValues.get(this.segmentStartRecord.at(this.lastSegment.at(call)));
    if (value === undefined) return;
    const sent = this.sent.get(value);
    if (sent === undefined || this.table.b(record) !== TeeResult.SUCCESS) return;
    this.sent.delete(value);
    const notification = { sentRecord: sent.record, answeredRecord: record, value, by: sent.by, call };
    this.notifications.push(notification);
    const to = this.notificationsTo.get(call);
    if (to === undefined) this.notificationsTo.set(call, [notification]);
    else to.push(notification);
  }

  private beginCall(record: number, time: number, number: number): void {
    const { table } = this;
    const label = table.text(record);
    let client = this.clientIds.get(label);
    if (client === undefined) {
      client = this.clients.push(label) - 1;
      this.clientIds.set(label, client);
    }
    const call = this.callNumber.push(number);
    this.callClient.push(client);
    this.callPurpose.push(Math.min(table.b(record), purposeNumbers.unknown));
    this.callSession.push(table.a(record));
    this.callSystem.push((table.kind(record) & flagBit) === 0 ? 0 : 1);
    this.callBegin.push(time);
    this.callEnd.push(this.end);
    this.callBeginRecord.push(record);
    this.callEndRecord.push(unfinished);
    this.callReturn.push(OpteeSmcReturn.unknownFunction);
    this.callFirstSegment.push(-1);
    this.callThread.push(-1);
    this.callThreadKnown.push(0);
    this.callEntered.push(Number.NaN);
    this.callEnteredRecord.push(unfinished);
    this.lastSegment.push(-1);
    this.open.set(number, call);
    if (table.c(record) === 0) this.enter(call, CallState.door, time, record);
    else this.enterSecureWorld(call, time, record);
  }

  private enterSecureWorld(call: number, time: number, record: number): void {
    if (Number.isNaN(this.callEntered.at(call))) {
      this.callEntered.set(call, time);
      this.callEnteredRecord.set(call, record);
    }
    this.enter(call, CallState.secure, time, record);
  }

  private enter(call: number, state: number, time: number, record: number): void {
    this.closeSegment(call, time, record);
    const index = this.segmentCall.push(call);
    this.segmentState.push(state);
    this.segmentStart.push(time);
    this.segmentEnd.push(this.end);
    this.segmentStartRecord.push(record);
    this.segmentEndRecord.push(unfinished);
    this.segmentCommand.push(rpcCommandNotRecorded);
    this.segmentNext.push(-1);
    const last = this.lastSegment.at(call);
    if (last < 0) this.callFirstSegment.set(call, index);
    else this.segmentNext.set(last, index);
    this.lastSegment.set(call, index);
  }

  private closeSegment(call: number, time: number, record: number): void {
    const last = this.lastSegment.at(call);
    if (last < 0) return;
    this.segmentEnd.set(last, time);
    this.segmentEndRecord.set(last, record);
  }
}
