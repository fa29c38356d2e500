import { type Clock, machineClock } from '../clock/clock.js';
import { requireMethods } from '../known-options.js';
import { unbreakable } from '../warn.js';
import {
  type CallPurpose,
  maxThreads,
  purposeNumbers,
  type TraceEvent,
  type TraceListener,
  type TraceSubject,
  threadNotRecorded,
} from './event.js';
import { decodeEvents, EventKind, encodeEvent, flagBit, type TraceSink } from './event-codec.js';

export type { CallPurpose, TimedTraceEvent, TraceEvent, TraceListener } from './event.js';

/** Keeps a trace: receives its records and its subject. */
export interface TraceRecorder extends TraceSink {
  describe(subject: TraceSubject): void;
}

/**
 * The stream of events. Callers check `on` first, so that tracing costs nothing without listeners.
 *
 * The frequent events have methods of their own, which allocate no object; the others use `emit`. A call that does
 * not wait costs two records and two clock readings: it enters secure world at the time of its beginning, and ends at
 * the time of its return.
 */
export class Trace {
  /** True if there are listeners. */
  on = false;
  private sinks: readonly TraceSink[] = [];
  /** Receives the events: `out`, or where they are diverted to. */
  private sink: TraceSink = nobody;
  /** The only sink, or one that forwards to all. */
  private out: TraceSink = nobody;
  private diversion: TraceSink | undefined;
  private subject: TraceSubject = {};

  constructor(private readonly clock: Clock) {}

  /** @param functionId the function with which the call enters secure world at once; 0 if it has not entered yet. */
  callBegin(
    call: number,
    context: string,
    purpose: CallPurpose,
    session: number,
    system: boolean,
    functionId: number,
  ): void {
    const kind = system ? EventKind.callBegin | flagBit : EventKind.callBegin;
    this.put(kind, call, session, purposeNumbers[purpose], functionId, context);
  }

  /** @param returned the call returned from secure world with this a0; false if secure world could not be reached. */
  callEnd(call: number, smcReturn: number, returned: boolean): void {
    this.put(returned ? EventKind.callEnd | flagBit : EventKind.callEnd, call, smcReturn, 0, 0, '');
  }

  worldEnter(call: number, functionId: number): void {
    this.put(EventKind.worldEnter, call, functionId, 0, 0, '');
  }

  /**
   * A call returned without being complete.
   * @param thread number of the thread that an RPC left suspended, from register a3. An impossible number is reported
   * as a violation of the protocol and not recorded.
   */
  worldExit(call: number, a0: number, thread?: number): void {
    if (thread === undefined) this.put(EventKind.worldExit, call, a0, 0, 0, '');
    else if (thread < maxThreads) this.put(EventKind.worldExit | flagBit, call, a0, thread, 0, '');
    else {
      const what = `an RPC names thread 0x${thread.toString(16)} in a3; threads of secure world are below ${maxThreads}`;
      this.emit({ type: 'protocol-violation', call, what });
      this.put(EventKind.worldExit | flagBit, call, a0, threadNotRecorded, 0, '');
    }
  }

  queueSleep(call: number, limit: boolean): void {
    this.put(limit ? EventKind.queueSleep | flagBit : EventKind.queueSleep, call, 0, 0, 0, '');
  }

  /** A call gets its wake-up. @param by the call that gave it when it left the queue; 0 if none. */
  queueWake(call: number, by: number, asleep: boolean): void {
    const kind = asleep ? EventKind.queueWake | flagBit : EventKind.queueWake;
    this.put(kind, call, by, 0, 0, '');
  }

  /** Record one of the less frequent events. */
  emit(event: TraceEvent): void {
    encodeEvent(this.sink, this.clock.now(), event);
  }

  /** Record a note by the program. */
  mark(text: string): void {
    if (this.on) this.emit({ type: 'mark', text });
  }

  /** Set properties of the trace's subject; they replace earlier values. */
  describe(subject: TraceSubject): void {
    this.subject = { ...this.subject, ...subject };
    for (const sink of this.sinks) if (isRecorder(sink)) sink.describe(this.subject);
  }

  /** Receive every event as an object. @returns a function that ends it. */
  listen(listener: TraceListener): () => void {
    return this.watch(unbreakable('a listener of the trace', listener));
  }

  /** The same for a part of this package: its errors are those of whoever emits. */
  watch(listener: TraceListener): () => void {
    return this.add({
      record(kind, time, call, a, b, c, text) {
        for (const event of decodeEvents(kind, time, call, a, b, c, text)) listener(event);
      },
    });
  }

  /** Pass every event to a sink. @returns a function that ends it. */
  attach(sink: TraceSink | TraceRecorder): () => void {
    requireMethods('Trace.attach', 'sink', sink, ['record']);
    return this.add(isRecorder(sink) ? sink : guarded(sink));
  }

  /** The time of an event that happens now, in milliseconds. */
  get time(): number {
    return this.clock.now();
  }

  /**
   * Give the events to a sink instead, which passes them on when they are in order with others: to what this returns.
   * Undefined ends it.
   */
  divert(into: TraceSink | undefined): TraceSink {
    this.diversion = into;
    this.setSinks(this.sinks);
    return {
      record: (kind, time, call, a, b, c, text) => this.out.record(kind, time, call, a, b, c, text),
    };
  }

  private add(sink: TraceSink | TraceRecorder): () => void {
    this.setSinks([...this.sinks, sink]);
    const { clock } = this;
    this.subject = {
      clock: clock === machineClock ? 'machine' : 'virtual',
      startedAt: new Date(clock.wallClock()).toISOString(),
      ...this.subject,
    };
    if (isRecorder(sink)) sink.describe(this.subject);
    return () => {
      this.setSinks(this.sinks.filter((other) => other !== sink));
    };
  }

  private setSinks(sinks: readonly TraceSink[]): void {
    this.sinks = sinks;
    const [first, second] = sinks;
    this.out = first === undefined ? nobody : second === undefined ? first : all(sinks);
    this.sink = this.diversion ?? this.out;
    this.on = first !== undefined;
  }

  private put(kind: number, call: number, a: number, b: number, c: number, text: string): void {
    this.sink.record(kind, this.clock.now(), call, a, b, c, text);
  }
}

const nobody: TraceSink = { record: () => undefined };

function all(sinks: readonly TraceSink[]): TraceSink {
  return {
    record(kind, time, call, a, b, c, text) {
      for (const sink of sinks) sink.record(kind, time, call, a, b, c, text);
    },
  };
}

/** No listener with rest parameters: it would cost an array for each event. */
function guarded(sink: TraceSink): TraceSink {
  const tell = unbreakable('a sink of the trace', (error: unknown) => {
    throw error;
  });
  return {
    record(kind, time, call, a, b, c, text) {
      try {
        sink.record(kind, time, call, a, b, c, text);
      } catch (error) {
        tell(error);
      }
    },
  };
}

function isRecorder(sink: TraceSink): sink is TraceRecorder {
  return 'describe' in sink;
}
