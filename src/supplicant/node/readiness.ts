import { startTimer } from '../../clock/timer.js';
import { SocketResult, socketError } from '../socket-service.js';

/** Waits for a condition, which is evaluated again after each change: poll() with a timeout. */
export class Readiness {
  private readonly waiting = new Set<() => void>();

  /** Evaluate the conditions again. */
  changed(): void {
    for (const look of [...this.waiting]) look();
  }

  /** @throws TeecError ERROR_TIMEOUT */
  until(holds: () => boolean, timeoutMs: number): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        cancel();
        this.waiting.delete(look);
        settle();
      };
      const look = () => {
        if (holds()) end(resolve);
      };
      this.waiting.add(look);
      const cancel = startTimer(timeoutMs, () =>
        end(() => reject(socketError(SocketResult.ERROR_TIMEOUT, 'no data arrived'))),
      );
    });
  }
}
