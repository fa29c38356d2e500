import { EventKind, kindMask } from '../event-codec.js';
import type { Timeline } from './timeline.js';

/** The command of a call, if the trace has its name. */
export interface CallName {
  readonly application: string;
  readonly command: string;
}

/** The command names of a trace's calls, from the `invoke` events before them. */
export class CallNames {
  /** By index of the call. */
  private readonly names = new Map<number, CallName>();

  constructor({ table }: Timeline) {
    /** Invocations whose call has not begun yet, by client. */
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
        // A registration of memory for the message may precede the call.
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

/** The last purpose that has a name; `open-session` and `invoke` are first in the list of purposes. */
const lastNamedPurpose = 1;
