import { formatTime } from '../duration.js';
import type { OpenCall } from '../journal/run-journal.js';
import type { Evidence } from './evidence.js';
import { admittedAndAsleep, type Need } from './needs.js';
import { callName, callNumbers, capital, describeWait, listed } from './wait-description.js';

/** A call that cannot return, whatever the other calls do. */
export interface HopelessCall {
  readonly call: OpenCall;
  readonly why: Extract<Need, { readonly need: 'impossible' }>['why'];
}

/** Calls that cannot return, or that sleep too long although a thread is free for them. */
export function hopelessCalls(evidence: Evidence, needs: ReadonlyMap<OpenCall, Need>): readonly HopelessCall[] {
  return [...needs].flatMap(([call, need]) =>
    need.need === 'impossible' && isHopeless(evidence, call, need.why) ? [{ call, why: need.why }] : [],
  );
}

function isHopeless({ end, journal, duration }: Evidence, call: OpenCall, why: HopelessCall['why']): boolean {
  switch (why) {
    case 'lost-wake-up':
      // While other calls proceed, one of them may still wake it; it counts only after a long time.
      return end === 'quiet' || journal.sleepOf(call).besideFree >= duration * longBesideFree;
    case 'no-thread':
      return end !== 'stopped';
    case 'not-notified':
      // While anything proceeds, an interrupt may send it.
      return end === 'quiet';
    case 'never-answered':
    case 'no-supplicant':
    case 'frozen':
    case 'locked':
      return true;
    default:
      return why satisfies never;
  }
}

/**
 * Calls that can never return, whatever the others do: descriptions of the worst ones, and the number of the others.
 */
export function hopelessSentences(
  evidence: Evidence,
  needs: ReadonlyMap<OpenCall, Need>,
  hopeless: readonly HopelessCall[],
): string[] {
  const sentences: string[] = [];
  for (const { call, why } of hopeless.slice(0, mostDescribed)) {
    const name = capital(callName(call));
    switch (why) {
      case 'lost-wake-up': {
        const { besideFree } = evidence.journal.sleepOf(call);
        const quiet = evidence.end === 'quiet';
        sentences.push(
          `${name} ${quiet ? 'sleeps for ever' : `has slept ${formatTime(besideFree)}`} although ` +
            `${freeWords(evidence)}: ${whyNotWoken(evidence, call)}.`,
          ...passedOverSentences(evidence, call),
        );
        break;
      }
      case 'no-thread':
        sentences.push(`${name} cannot enter although no call is inside: secure world answers ETHREAD_LIMIT.`);
        break;
      case 'not-notified':
        sentences.push(`${name} ${describeWait(call, needs.get(call))}, which is never sent.`);
        break;
      case 'never-answered':
      case 'no-supplicant':
      case 'frozen':
      case 'locked':
        sentences.push(
          `${name}: ${describeWait(call, needs.get(call))}${why === 'no-supplicant' ? ', and there is no supplicant' : ''}.`,
        );
        break;
      default:
        why satisfies never;
    }
  }
  const waiting = [...needs.values()].filter(({ need }) => need === 'one-of').length;
  const others = waiting + Math.max(0, hopeless.length - mostDescribed);
  if (sentences.length > 0 && others > 0)
    sentences.push(`${others} more ${others === 1 ? 'call waits' : 'calls wait'} with it.`);
  return sentences;
}

/** The description of a standstill without a known reason. */
export function quietSentences({ journal }: Evidence): string[] {
  const calls = [...journal.calls.values()];
  return [
    'Nothing can happen any more.',
    ...calls.slice(0, mostDescribed).map((call) => `${capital(callName(call))}: ${describeWait(call)}.`),
    ...(calls.length > mostDescribed ? [`${calls.length - mostDescribed} more calls wait with it.`] : []),
  ];
}

/** A call that sleeps beside a free thread for this fraction of a run, up to its end, is starved. */
const longBesideFree = 0.1;

/** The maximum number of calls that are described individually. */
const mostDescribed = 3;

function freeWords({ freeThreads }: Evidence): string {
  const threads = listed(freeThreads.map(String));
  return freeThreads.length === 1 ? `thread ${threads} is free` : `threads ${threads} are free`;
}

/** Why no call will wake a sleeping call although a thread is free for it. */
function whyNotWoken({ queueState, queue, journal }: Evidence, call: OpenCall): string {
  const counters = Object.entries(queueState?.counters ?? {})
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  const counted = counters === '' ? '' : ` (${counters})`;
  if (queue === 'patch-v6' && call.state.at === 'queue' && call.state.limit)
    return (
      'it had claimed a thread, then got ETHREAD_LIMIT; its own claim keeps free_normal_thread_count from rising, ' +
      `and at 0 no normal sleeper is woken${counted}`
    );
  const letIn = admittedAndAsleep(call, journal);
  if (letIn.length > 0 && call.state.at === 'queue' && !call.state.limit)
    return `${callNumbers(letIn)} ${letIn.length === 1 ? 'counts as' : 'count as'} inside, but ${letIn.length === 1 ? 'sleeps as well' : 'sleep as well'}${counted}`;
  return `the calls that have returned since woke no sleeping call${counted}`;
}

export function passedOverSentences({ from, queue }: Evidence, { passedOver, state }: OpenCall): string[] {
  // In these cases the wake-up would not have gone to a normal call anyway.
  if (passedOver === undefined || (queue === 'patch-v6' && state.at === 'queue' && state.limit)) return [];
  const { time, to, inside } = passedOver;
  return [
    `Lost wake-up: when ${callName(passedOver.from)} returned, at ${formatTime(time - from)}, the queue woke ` +
      `${callName(to)}, which was not asleep but ${inside ? 'inside secure world' : 'about to enter'}.`,
  ];
}
