import { CallState, type Timeline } from '../timeline/timeline.js';

export const noFlows: readonly number[] = [];

/** The flows of a timeline, by the slices that they connect. */
export class Flows {
  private readonly outOfAnswer: FlowLists;
  private readonly outOfInterrupt = new Map<number, number[]>();
  private readonly outOfCall: FlowLists;
  private readonly intoCall: FlowLists;
  private readonly intoSegment: FlowLists;
  private next: number;

  constructor(private readonly timeline: Timeline) {
    this.outOfAnswer = new FlowLists(timeline.segmentCount);
    this.intoSegment = new FlowLists(timeline.segmentCount);
    this.outOfCall = new FlowLists(timeline.callCount);
    this.intoCall = new FlowLists(timeline.callCount);
    // The first numbers are for flows from an RPC to its answer.
    this.next = timeline.segmentCount + 1;
    for (const { by, call, record } of timeline.wakeUps)
      if (by >= 0) this.lead(this.outOfCall, by, this.intoSegment, this.segmentFrom(call, record));
    for (const { by, call, sentRecord, answeredRecord } of timeline.notifications) {
      const woken = this.segmentFrom(call, answeredRecord);
      if (by < 0) this.interrupt(sentRecord, woken);
      else this.lead(this.outOfAnswer, this.rpcAt(by, sentRecord), this.intoSegment, woken);
    }
    for (const [call, waits] of timeline.rpcWaits)
      for (const { needs, record } of waits) {
        const answer = this.rpcAt(call, record);
        // Calls that began earlier are waited for, but not caused by this answer.
        if (needs < 0 || answer < 0 || timeline.callBeginRecord.at(needs) < timeline.segmentStartRecord.at(answer))
          continue;
        this.lead(this.outOfAnswer, answer, this.intoCall, needs);
      }
  }

  answerOf(segment: number): number {
    return segment + 1;
  }

  fromAnswer = (segment: number) => this.outOfAnswer.at(segment);
  fromInterrupt = (record: number) => this.outOfInterrupt.get(record) ?? noFlows;
  fromCall = (call: number) => this.outOfCall.at(call);
  toCall = (call: number) => this.intoCall.at(call);
  toSegment = (segment: number) => this.intoSegment.at(segment);

  private lead(out: FlowLists, from: number, into: FlowLists, to: number): void {
    if (from < 0 || to < 0) return;
    const flow = this.next++;
    out.append(from, flow);
    into.append(to, flow);
  }

  private interrupt(record: number, woken: number): void {
    if (woken < 0) return;
    const flow = this.next++;
    this.outOfInterrupt.set(record, [...this.fromInterrupt(record), flow]);
    this.intoSegment.append(woken, flow);
  }

  /** The first segment of a call, other than state `door`, that begins at a record or later; -1 if there is none. */
  private segmentFrom(call: number, record: number): number {
    const { timeline } = this;
    const before = timeline.segmentAt(call, record - 1);
    let index = before < 0 ? timeline.callFirstSegment.at(call) : timeline.segmentNext.at(before);
    while (index >= 0 && timeline.segmentState.at(index) === CallState.door) index = timeline.segmentNext.at(index);
    return index;
  }

  /** The RPC of a call at a record; -1 if there is none. */
  private rpcAt(call: number, record: number): number {
    const { timeline } = this;
    const index = timeline.segmentAt(call, record);
    const inRpc = index >= 0 && timeline.segmentState.at(index) === CallState.rpc;
    return inRpc && timeline.segmentEndRecord.at(index) > record ? index : -1;
  }
}

/** A list of flows for each index. Most are empty, so they are linked lists in arrays of numbers. */
class FlowLists {
  private readonly last: Int32Array;
  private readonly flow: number[] = [];
  private readonly before: number[] = [];

  constructor(count: number) {
    this.last = new Int32Array(count).fill(-1);
  }

  append(index: number, flow: number): void {
    this.before.push(this.last[index] ?? -1);
    this.last[index] = this.flow.push(flow) - 1;
  }

  at(index: number): readonly number[] {
    let entry = this.last[index] ?? -1;
    if (entry < 0) return noFlows;
    const flows: number[] = [];
    for (; entry >= 0; entry = this.before[entry] ?? -1) flows.push(this.flow[entry] ?? 0);
    return flows.reverse();
  }
}
