import type { Duplex } from 'node:stream';
import { startTimer } from '../../clock/timer.js';

/** Milliseconds after which QEMU is assumed not to answer, because it is stopped or has ended. */
const answerLimitMs = 1000;
const maxAnswer = 1 << 20;

/**
 * QEMU's machine protocol (QMP) on a stream: docs/interop/qmp-spec.rst of QEMU. The capabilities negotiation is delayed
 * until the first command, so it does not slow the start.
 */
export class QemuMonitor {
  private received = '';
  private negotiated = false;
  private lastId = 0;
  private readonly answers = new Map<number, (answer: unknown) => void>();

  constructor(private readonly stream: Duplex) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => this.receive(text));
    // The end of the stream is reported by `QemuProcess.ended`.
    stream.on('error', () => undefined);
  }

  /** The output of a command of the human monitor; undefined if QEMU does not answer. */
  async command(line: string): Promise<string | undefined> {
    if (!this.negotiated) {
      this.negotiated = true;
      await this.execute('qmp_capabilities', {});
    }
    const answer = await this.execute('human-monitor-command', { 'command-line': line });
    return typeof answer === 'string' ? answer : undefined;
  }

  private execute(execute: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.lastId;
    return new Promise((resolve) => {
      const unlimit = startTimer(answerLimitMs, () => this.answers.get(id)?.(undefined), { background: true });
      this.answers.set(id, (answer) => {
        unlimit();
        this.answers.delete(id);
        resolve(answer);
      });
      if (this.stream.writable) this.stream.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    });
  }

  private receive(text: string): void {
    const lines = (this.received + text).split('\n');
    this.received = (lines.pop() ?? '').slice(0, maxAnswer);
    for (const line of lines) {
      const message = parse(line);
      // The greeting and the events have no id.
      if (typeof message.id === 'number') this.answers.get(message.id)?.(message.return);
    }
  }
}

function parse(line: string): { readonly id?: unknown; readonly return?: unknown } {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
