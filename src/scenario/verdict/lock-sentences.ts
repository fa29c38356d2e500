import { formatTime } from '../duration.js';
import { holderOf } from '../journal/locks.js';
import type { OpenCall, Task } from '../journal/run-journal.js';
import type { Evidence } from './evidence.js';
import { callName, capital } from './wait-description.js';

/** The maximum number of named tasks. */
const mostNamed = 6;

/**
 * Tasks that hold locks of the normal world and wait for each other's, outside of any call; undefined if there are
 * none.
 */
export function lockCircle({
  lockWaiters,
  from,
}: Evidence): { readonly sentences: readonly string[]; readonly since: number } | undefined {
  for (const { waitsFor } of lockWaiters) {
    const found = waitsFor === undefined ? undefined : holderOf(waitsFor.lock);
    if (found?.holder !== 'circle') continue;
    const { tasks } = found;
    const since = Math.max(...tasks.map((task) => task.waitsFor?.since ?? 0)) - from;
    const who = tasks.length === 1 ? 'waits for itself' : 'wait for each other';
    return {
      since,
      sentences: [
        `${capital(tasks.map(({ name }) => name).join(' and '))} ${who}, for ever, outside of OP-TEE:`,
        ...tasks.map(
          ({ name, waitsFor: wait }) =>
            `  ${name} waits for lock ${wait?.lock.name}, which ${wait?.lock.holder?.name} holds`,
        ),
        `The cycle closed at ${formatTime(since)}.`,
        'No call of the driver is part of it: no queue and no system session helps.',
      ],
    };
  }
  return undefined;
}

/** Tasks that wait, outside of any call, for locks whose holders never return. */
export function lockSentences({ lockWaiters, from }: Evidence, lost: ReadonlySet<OpenCall>): string[] {
  const behind = lockWaiters.flatMap((task: Task) => {
    const { name, waitsFor } = task;
    if (waitsFor === undefined || task.call() !== undefined) return [];
    const found = holderOf(waitsFor.lock);
    if (found.holder !== 'call' || !lost.has(found.call)) return [];
    return [
      `${capital(name)} waits for lock ${waitsFor.lock.name} since ${formatTime(waitsFor.since - from)}, behind ${callName(found.call)}.`,
    ];
  });
  const more = behind.length - mostNamed;
  return [
    ...behind.slice(0, mostNamed),
    ...(more > 0 ? [`${more} more ${more === 1 ? 'waits' : 'wait'} for such locks.`] : []),
  ];
}
