/** The part of `Tee.waiting()` that is about calls. */
export interface CallsThatWait {
  readonly calls: readonly { readonly context: string; readonly purpose: string; readonly waitsFor: string }[];
  readonly inside: readonly { readonly context: string; readonly purpose: string }[];
}

/** The calls that have not returned, and what each waits for, as text. */
export function waitingCalls({ calls, inside }: CallsThatWait): readonly string[] {
  return [
    ...calls.map(({ context, purpose, waitsFor }) => `${context}: its ${purpose} waits for ${waitsFor}`),
    ...inside.map(({ context, purpose }) => `${context}: its ${purpose} is in secure world`),
  ];
}
