import { type Verdict, withoutNumbers } from './verdict.js';

/** The verdict on an error thrown in this process. @param where the place, for the message. */
export function thrown(where: string, error: unknown): Verdict {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const [message = '', place = ''] = stack.split('\n');
  return {
    kind: 'exception',
    signature: `exception: ${withoutNumbers(`${message} ${place.replace(/file:.*\//, '')}`)}`,
    what: `${where} threw ${message}`,
    console: stack,
  };
}

/** Collects unhandled promise rejections of this process. */
export class UnhandledRejections implements Disposable {
  private readonly reasons: unknown[] = [];
  private readonly listen = (reason: unknown) => void this.reasons.push(reason);

  constructor() {
    process.on('unhandledRejection', this.listen);
  }

  /** Those since the last call. */
  drain(): readonly Verdict[] {
    return this.reasons.splice(0).map((reason) => thrown('An unhandled promise rejection', reason));
  }

  [Symbol.dispose](): void {
    process.removeListener('unhandledRejection', this.listen);
  }
}
