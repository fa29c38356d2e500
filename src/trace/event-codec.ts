import { callPurposes, purposeNumbers, type TimedTraceEvent, type TraceEvent } from './event.js';

/**
 * The number of each type of event in records and files. Numbers are never reused; new types get new numbers. Readers
 * skip types that they do not know.
 */
export const EventKind = {
  callBegin: 1,
  callEnd: 2,
  queueSleep: 3,
  queueWake: 4,
  worldEnter: 5,
  worldExit: 6,
  rpcBegin: 7,
  rpcEnd: 8,
  sessionOpen: 9,
  sessionClose: 10,
  systemSession: 11,
  protocolViolation: 12,
  secureConsole: 13,
  simulatedFault: 14,
  taPanic: 15,
  mark: 16,
  notification: 17,
  rpcWait: 18,
  invocation: 19,
} as const;

/** The bits of a record's first word that contain the kind. */
export const kindMask = 0xff;
/**
 * A flag whose meaning depends on the event: `system` of a call, `limit` of a sleep, `asleep` of a wake-up, `granted`
 * of a system session; an exit has a thread; an RPC has a value; a call returned before it ended.
 */
export const flagBit = 0x100;

/** The name of each kind, as in `TraceEvent.type`. */
export const kindNames: readonly TraceEvent['type'][] = [
  'mark', // 0 is no kind
  'call-begin',
  'call-end',
  'queue-sleep',
  'queue-wake',
  'world-enter',
  'world-exit',
  'rpc-begin',
  'rpc-end',
  'session-open',
  'session-close',
  'system-session',
  'protocol-violation',
  'secure-console',
  'simulated-fault',
  'ta-panic',
  'mark',
  'notification',
  'rpc-wait',
  'invocation',
];

/**
 * Receives events as numbers, so that no object is allocated for an event. The meaning of `a`, `b`, `c` and `text`
 * depends on the kind: see `decodeEvents`.
 */
export interface TraceSink {
  /**
   * @param kind an `EventKind`, with `flagBit`.
   * @param time milliseconds.
   * @param call 0 for no call.
   * @param text empty for no text.
   */
  record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void;
}

/** Pass an event to a sink. */
export function encodeEvent(sink: TraceSink, time: number, event: TraceEvent): void {
  const put = (kind: number, flag: boolean, call: number, a = 0, b = 0, c = 0, text = '') =>
    sink.record(flag ? kind | flagBit : kind, time, call, a >>> 0, b >>> 0, c >>> 0, text);
  switch (event.type) {
    case 'call-begin': {
      const { call, session, purpose, context, system } = event;
      put(EventKind.callBegin, system, call, session, purposeNumbers[purpose], 0, context);
      break;
    }
    case 'call-end':
      put(EventKind.callEnd, false, event.call, event.smcReturn);
      break;
    case 'queue-sleep':
      put(EventKind.queueSleep, event.limit, event.call);
      break;
    case 'queue-wake':
      put(EventKind.queueWake, event.asleep, event.call, event.by);
      break;
    case 'world-enter':
      put(EventKind.worldEnter, false, event.call, event.function);
      break;
    case 'world-exit':
      put(EventKind.worldExit, event.thread !== undefined, event.call, event.a0, event.thread);
      break;
    case 'rpc-begin':
      put(EventKind.rpcBegin, event.a !== undefined, event.call, event.command, event.a, event.b);
      break;
    case 'rpc-end':
      put(EventKind.rpcEnd, false, event.call, event.command, event.result);
      break;
    case 'rpc-wait':
      put(EventKind.rpcWait, false, event.call, event.needs, 0, 0, event.through);
      break;
    case 'session-open':
      put(EventKind.sessionOpen, false, 0, event.session, 0, 0, `${event.context}\n${event.uuid}`);
      break;
    case 'session-close':
      put(EventKind.sessionClose, false, 0, event.session, 0, 0, event.context);
      break;
    case 'system-session':
      put(EventKind.systemSession, event.granted, 0, event.session);
      break;
    case 'protocol-violation':
      put(EventKind.protocolViolation, false, event.call, 0, 0, 0, event.what);
      break;
    case 'secure-console':
      put(EventKind.secureConsole, false, 0, 0, 0, 0, event.line);
      break;
    case 'simulated-fault':
      put(EventKind.simulatedFault, false, 0, 0, 0, 0, event.what);
      break;
    case 'ta-panic':
      put(EventKind.taPanic, false, 0, event.code, 0, 0, event.uuid);
      break;
    case 'mark':
      put(EventKind.mark, false, 0, 0, 0, 0, event.text);
      break;
    case 'notification':
      put(EventKind.notification, false, 0, event.value);
      break;
    case 'invocation': {
      const { context, application, command } = event;
      put(EventKind.invocation, false, 0, 0, 0, 0, `${context}\n${application}\n${command}`);
      break;
    }
    default:
      event satisfies never;
  }
}

/**
 * The events of a record: usually one; none for an unknown kind. The beginning of a call that entered secure world at
 * once is two events in one record, and so is the end of a call that returned.
 */
export function decodeEvents(
  kind: number,
  time: number,
  call: number,
  a: number,
  b: number,
  c: number,
  text: string,
): TimedTraceEvent[] {
  const event = decodeEvent(kind, time, call, a, b, c, text);
  if (event === undefined) return [];
  if (event.type === 'call-begin' && c !== 0) return [event, { type: 'world-enter', time, call, function: c }];
  if (event.type === 'call-end' && (kind & flagBit) !== 0) return [{ type: 'world-exit', time, call, a0: a }, event];
  return [event];
}

function decodeEvent(
  kind: number,
  time: number,
  call: number,
  a: number,
  b: number,
  c: number,
  text: string,
): TimedTraceEvent | undefined {
  const flag = (kind & flagBit) !== 0;
  switch (kind & kindMask) {
    case EventKind.callBegin: {
      const purpose = callPurposes[b] ?? 'unknown';
      return { type: 'call-begin', time, call, context: text, purpose, session: a, system: flag };
    }
    case EventKind.callEnd:
      return { type: 'call-end', time, call, smcReturn: a };
    case EventKind.queueSleep:
      return { type: 'queue-sleep', time, call, limit: flag };
    case EventKind.queueWake:
      return { type: 'queue-wake', time, call, by: a, asleep: flag };
    case EventKind.worldEnter:
      return { type: 'world-enter', time, call, function: a };
    case EventKind.worldExit:
      return { type: 'world-exit', time, call, a0: a, ...(flag ? { thread: b } : {}) };
    case EventKind.rpcBegin:
      return { type: 'rpc-begin', time, call, command: a, ...(flag ? { a: b, b: c } : {}) };
    case EventKind.rpcEnd:
      return { type: 'rpc-end', time, call, command: a, result: b };
    case EventKind.rpcWait:
      return { type: 'rpc-wait', time, call, needs: a, through: text };
    case EventKind.sessionOpen: {
      const line = text.lastIndexOf('\n');
      return { type: 'session-open', time, session: a, context: text.slice(0, line), uuid: text.slice(line + 1) };
    }
    case EventKind.sessionClose:
      return { type: 'session-close', time, session: a, context: text };
    case EventKind.systemSession:
      return { type: 'system-session', time, session: a, granted: flag };
    case EventKind.protocolViolation:
      return { type: 'protocol-violation', time, call, what: text };
    case EventKind.secureConsole:
      return { type: 'secure-console', time, line: text };
    case EventKind.simulatedFault:
      return { type: 'simulated-fault', time, what: text };
    case EventKind.taPanic:
      return { type: 'ta-panic', time, uuid: text, code: a };
    case EventKind.notification:
      return { type: 'notification', time, value: a };
    case EventKind.invocation: {
      const [context = '', application = '', command = ''] = text.split('\n');
      return { type: 'invocation', time, context, application, command };
    }
    case EventKind.mark:
      return { type: 'mark', time, text };
    default:
      return undefined;
  }
}
