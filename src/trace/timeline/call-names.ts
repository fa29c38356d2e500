import { EventKind, kindMask } from '../event-codec.js';
import type { Timeline } from './timeline.js';

/** What a call asks for, where the trace says so. */
export interface CallName {
  readonly application: string;
  readonly command: string;
}

/** The names of a trace's calls: those of the invocations that were announced right before them. */
export class CallNames {
  /** By index of a call. */
  private readonly names = new Map<number, CallName>();

  constructor({ table }: Timeline) {
    /** Invocations that have no call yet, by client. */
    const announced = new Map<string, CallName[]>();
    let calls = 0;
    for (let record = 0; record < table.length; record++) {
      const kind = table.kind(record) & kindMask;
      if (kind === EventKind.invocation) {
        const [context = '', application = '', command = ''] = table.text(record).split('\n');
        const waiting = announced.get(context) ?? [];
        announced.set(context, waiting);
        waiting.push({ application, command });
      } else if (kind === EventKind.callBegin) {
        const call = calls++;
        // What registers memory for its message comes before it.
        const purpose = table.b(record);
        if (purpose > lastNamedPurpose || announced.size === 0) continue;
        const name = announced.get(table.text(record))?.shift();
        if (name !== undefined) this.names.set(call, name);
      }
    }
  }

  of(call: number): CallName | undefined {
    return this.names.get(call);
  }
}

/** `open-session` and `invoke` come first in the list of purposes. */
const lastNamedPurpose = 1;
