import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { startTimer } from '../clock/timer.js';
import { startProcess } from '../processes/start-process.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError, type TeecError } from '../tee/teec-error.js';
import { AgentOperation, type Change, changesIn, FrameReader, frame, memoryFrames } from './frames.js';
import { type Hello, mostNoise, parseHello } from './hello.js';

/** Number of characters of standard error that are kept. */
const keptSaid = 4096;
/** Time for the agent to exit before it is killed, in milliseconds. */
const endMs = 5000;

/** Time limit for the agent's first line, in milliseconds: a slow board needs some seconds to start Node. */
const helloMs = 60_000;

/** Time to wait for the remaining output of a program that has ended, in milliseconds. */
const lastWordsMs = 500;

/** How to start an agent. Its standard streams are the connection. */
export interface AgentCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The board's name, for messages. */
  readonly whose: string;
  /** A message that says why the agent ended. @param said its last output on standard error. */
  readonly explain: (code: number | null, signal: string | null, said: string, isUp: boolean) => string;
  /** The message if the program is not installed. */
  readonly missing: string;
}

export interface AgentReply {
  /** 0 or a negative errno. */
  readonly status: number;
  readonly body: Buffer;
}

interface Pending {
  readonly resolve: (reply: AgentReply) => void;
  readonly reject: (error: Error) => void;
}

/** The client's end of a connection to an agent. */
export class AgentLink {
  /** Resolves with the reason when the agent is no longer reachable. */
  readonly lost: Promise<TeecError>;
  private lose: (why: TeecError) => void = () => undefined;
  private why: TeecError | undefined;
  private readonly pending = new Map<number, Pending>();
  private readonly reader = new FrameReader();
  private number = 0;
  private hello: ((hello: Hello) => void) | undefined;
  private noise: Buffer = Buffer.alloc(0);
  /** Number of bytes received before the hello line. */
  private passed = 0;
  private said = '';
  private ending = false;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly exited: Promise<void>;

  /** @param onChange called for changes of shared memory, with the number of our last frame that the agent had read. */
  private constructor(
    private readonly command: AgentCommand,
    private readonly onSaid: (line: string) => void,
    private readonly onChange: (change: Change, read: number) => void,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    // Start a new session, so that Ctrl-C in the terminal reaches the client only, which then closes the agent.
    const child = startProcess(command.program, command.args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.child = child;
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (bytes: Buffer) => this.receive(bytes));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.hear(text));
    this.exited = new Promise((resolve) => {
      child.on('error', (error: NodeJS.ErrnoException) => {
        this.fail(error.code === 'ENOENT' ? command.missing : error.message);
        resolve();
      });
      child.on('exit', (code, signal) => {
        const ended = () => {
          this.fail(command.explain(code, signal, this.said.trim(), this.hello === undefined));
          resolve();
        };
        // Wait for the remaining output. With a shared ssh connection (ControlPersist), the streams stay open longer.
        const cancel = startTimer(lastWordsMs, ended);
        child.on('close', () => {
          cancel();
          ended();
        });
      });
    });
  }

  /** @throws TeecError COMMUNICATION saying why the agent did not start. */
  static async open(
    command: AgentCommand,
    onSaid: (line: string) => void,
    onChange: (change: Change, read: number) => void,
  ): Promise<{ readonly link: AgentLink; readonly hello: Hello }> {
    const link = new AgentLink(command, onSaid, onChange);
    const told = new Promise<Hello>((resolve) => {
      link.hello = resolve;
    });
    const cancel = startTimer(helloMs, () => {
      link.fail(`no agent has answered within ${helloMs / 1000} s`);
      link.child.kill('SIGKILL');
    });
    const first = await Promise.race([told, link.lost]);
    cancel();
    if (first instanceof Error) {
      await link.end();
      throw first;
    }
    link.attend();
    return { link, hello: first };
  }

  /** @throws TeecError COMMUNICATION if the agent is no longer reachable. */
  request(operation: number, file: number, body?: Uint8Array): Promise<AgentReply> {
    return new Promise((resolve, reject) => {
      if (this.why !== undefined) {
        reject(this.why);
        return;
      }
      const number = this.next();
      this.pending.set(number, { resolve, reject });
      this.attend();
      this.child.stdin.write(frame(operation, number, file, body));
    });
  }

  /** Send changes of shared memory. @param changes returns the changes to send under the given frame number. */
  tell(changes: (number: number) => readonly Change[]): void {
    if (this.why !== undefined) return;
    const number = this.next();
    for (const each of memoryFrames(changes(number), number)) this.child.stdin.write(each);
  }

  /** Close the connection. Resolves when the program has ended, at most after `endMs`. */
  async end(): Promise<void> {
    this.ending = true;
    this.fail('it is closed');
    this.child.stdin.end();
    const cancel = startTimer(endMs, () => this.child.kill('SIGKILL'), { background: true });
    this.refer(true);
    await this.exited;
    cancel();
    this.refer(false);
  }

  private next(): number {
    this.number = (this.number % 0xffff_fffe) + 1;
    return this.number;
  }

  private receive(bytes: Buffer): void {
    if (this.why !== undefined) return;
    try {
      const rest = this.hello === undefined ? bytes : this.awaitHello(bytes);
      if (rest === undefined || rest.length === 0) return;
      for (const { operation, number, file, body } of this.reader.push(rest)) {
        if (operation === AgentOperation.memory) for (const change of changesIn(body)) this.onChange(change, number);
        else if (operation === AgentOperation.reply) this.settle(number, file, body);
        else throw new Error(`unknown operation ${operation}`);
      }
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      this.fail(`it violated the protocol: ${what}`);
      this.child.kill('SIGKILL');
    }
  }

  /** @returns the bytes behind the hello line. */
  private awaitHello(bytes: Buffer): Buffer | undefined {
    const first = this.noise.subarray(0, 80).toString('utf8') || bytes.subarray(0, 80).toString('utf8');
    this.noise = Buffer.concat([this.noise, bytes]);
    this.passed += bytes.length;
    for (let end = this.noise.indexOf('\n'); end >= 0; end = this.noise.indexOf('\n')) {
      const line = this.noise.subarray(0, end).toString('utf8').replace(/\r$/, '');
      this.noise = this.noise.subarray(end + 1);
      let hello: Hello | undefined;
      try {
        hello = parseHello(line);
      } catch (error) {
        this.fail(error instanceof Error ? error.message : String(error));
        this.child.kill('SIGKILL');
        return undefined;
      }
      if (hello !== undefined) {
        this.hello?.(hello);
        this.hello = undefined;
        return this.noise;
      }
    }
    if (this.passed > mostNoise) {
      this.fail(`the answer is not from an agent: ${JSON.stringify(first)}`);
      this.child.kill('SIGKILL');
    }
    return undefined;
  }

  private settle(number: number, status: number, body: Buffer): void {
    const pending = this.pending.get(number);
    if (pending === undefined) throw new Error(`an answer to request ${number}, which is not pending`);
    this.pending.delete(number);
    this.attend();
    pending.resolve({ status, body });
  }

  private hear(text: string): void {
    this.said = (this.said + text).slice(-keptSaid);
    for (const line of text.split('\n')) if (line.trim() !== '') this.onSaid(line.trim());
  }

  /** Only the first reason is kept. */
  private fail(why: string): void {
    if (this.why !== undefined) return;
    this.why = this.ending
      ? commsError(TeeResult.ERROR_BAD_STATE, 'the TEE is closed')
      : commsError(TeeResult.ERROR_COMMUNICATION, `the TEE of ${this.command.whose}: ${why}`);
    if (!this.ending) this.lose(this.why);
    for (const { reject } of this.pending.values()) reject(this.why);
    this.pending.clear();
    this.attend();
  }

  /** Keep the process alive while requests are pending. */
  private attend(): void {
    this.refer(this.pending.size > 0);
  }

  private refer(isNeeded: boolean): void {
    for (const each of [this.child, this.child.stdin, this.child.stdout, this.child.stderr]) {
      const handle = each as { ref?(): void; unref?(): void };
      if (isNeeded) handle.ref?.();
      else handle.unref?.();
    }
  }
}
