import { type CallsInProgress, purposeOf, type UnfinishedCall } from '../optee/unfinished-calls.js';

/** The calls that have not returned, and what each waits for, as text. */
export function waitingCalls({ calls, inside, queued }: CallsInProgress): readonly string[] {
  return [
    ...[...calls, ...queued].map((call) => `${nameOf(call)} waits for ${call.waitsFor}`),
    ...inside.map((call) => `${nameOf(call)} is in secure world`),
  ];
}

/**
 * For the error of a call of a client that is late: the calls of the client itself, and those that are under way in
 * secure world. Cancellations are the consequence, not the reason.
 */
export function waitingCallsOf(client: string, { calls, inside, queued }: CallsInProgress): readonly string[] {
  const isOwn = ({ context }: UnfinishedCall) => context === client;
  const isReason = ({ purpose }: UnfinishedCall) => purpose !== 'cancel' && purpose !== 'bottom-half';
  const part = (wanted: (call: UnfinishedCall) => boolean, others: (call: UnfinishedCall) => boolean) =>
    waitingCalls({ calls: calls.filter(wanted), inside: inside.filter(wanted), queued: queued.filter(others) });
  return [
    ...part(
      (call) => isOwn(call) && isReason(call),
      (call) => isOwn(call) && isReason(call),
    ),
    ...part(
      (call) => !isOwn(call) && isReason(call),
      () => false,
    ),
  ];
}

function nameOf({ context, purpose, application }: UnfinishedCall): string {
  return `${context}: its ${purposeOf(purpose, application)}`;
}
