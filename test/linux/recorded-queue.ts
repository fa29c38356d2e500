import type { CallQueue, CallWaiter, QueueState } from '../../src/optee/call-queue/call-queue.js';
import { createCallQueue } from '../../src/optee/call-queue/disciplines.js';
import type { StorableCallQueue } from '../../src/optee/call-queue/storable.js';

/** One section of the queue as `linux/hand-off/host/drive.c` takes it, and the answer that it must give. */
export interface RecordedSection {
  readonly command: string;
  readonly answer: string;
}

/** Hand-off that writes down each section that is run on it, as a command for the queue in C, with its own answer. */
export function recordedHandOff(
  threads: number,
  reserve: boolean,
): { queue: StorableCallQueue; sections: RecordedSection[] } {
  const queue = createCallQueue('hand-off', threads, reserve);
  const sections: RecordedSection[] = [];
  const record = (command: string, what: string, waiter?: CallWaiter) => {
    const seen = waiter === undefined ? '' : `seen ${waiter.exitsSeen} `;
    sections.push({ command, answer: `${what} ${seen}${inWords(queue.state())}` });
  };
  record(`init ${threads} ${reserve ? 1 : 0}`, 'done');
  const recorded: Pick<CallQueue, 'enter' | 'resume' | 'threadLimit' | 'leave' | 'reserve' | 'release'> = {
    enter(waiter: CallWaiter, system: boolean, relief = false) {
      const step = queue.enter(waiter, system, relief);
      record(`enter ${waiter.label} ${system ? 1 : 0} ${relief ? 1 : 0}`, step, step === 'sleep' ? undefined : waiter);
      return step;
    },
    resume(waiter) {
      const step = queue.resume(waiter);
      record(`resume ${waiter.label}`, step, waiter);
      return step;
    },
    threadLimit(waiter) {
      const step = queue.threadLimit(waiter);
      record(`limit ${waiter.label}`, step, waiter);
      return step;
    },
    leave(waiter) {
      queue.leave(waiter);
      record(`leave ${waiter.label}`, 'done');
    },
    reserve() {
      const granted = queue.reserve();
      record('reserve', granted ? 'yes' : 'no');
      return granted;
    },
    release() {
      queue.release();
      record('release', 'done');
    },
  };
  const proxy = new Proxy(queue, {
    get: (target, name) => (name in recorded ? Reflect.get(recorded, name) : Reflect.get(target, name)),
  });
  return { queue: proxy, sections };
}

function inWords({ counters, lists }: QueueState): string {
  const { capacity, normal_in_flight, system_in_flight, relief_in_flight, reservations, exits } = counters;
  const inFlight = [normal_in_flight, system_in_flight, relief_in_flight];
  const numbers = [capacity, ...inFlight, reservations, exits, counters.most_in_flight].join(' ');
  const list = (name: string) =>
    ['', ...(lists[name] ?? []).map(({ label, completed }) => `${label}${completed ? '+' : ''}`)].join(' ');
  const names = ['system_relief_waiters', 'relief_waiters', 'system_waiters', 'normal_waiters'];
  return [numbers, ...names.map((name) => `|${list(name)}`)].join(' ');
}
