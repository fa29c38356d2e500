import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { startTimer } from '../clock/timer.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError, type TeecError } from '../tee/teec-error.js';
import { AgentOperation, type Change, changesIn, FrameReader, frame, memoryFrames } from './frames.js';
import { type Hello, mostNoise, parseHello } from './hello.js';

/** What is kept of what the program says on standard error. */
const keptSaid = 4096;
/** How long the agent may take to end by itself, in milliseconds; then the program is killed. */
const endMs = 5000;

/** How long an agent may take to say hello, in milliseconds: a slow board starts Node in some seconds. */
const helloMs = 60_000;

/** How long the last words of a program that has ended are waited for, in milliseconds. */
const lastWordsMs = 500;

/** How an agent is started: a program whose standard streams are its pipe. */
export interface AgentCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Whose it is, for messages: the board's name. */
  readonly whose: string;
  /** Why it ended, for people. @param said what it said last. */
  readonly explain: (code: number | null, signal: string | null, said: string, isUp: boolean) => string;
  /** The program is not there. */
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

/** The client's end of an agent's pipe. */
export class AgentLink {
  /** Resolves with the reason when the agent cannot be reached any more. */
  readonly lost: Promise<TeecError>;
  private lose: (why: TeecError) => void = () => undefined;
  private why: TeecError | undefined;
  private readonly pending = new Map<number, Pending>();
  private readonly reader = new FrameReader();
  private number = 0;
  private hello: ((hello: Hello) => void) | undefined;
  private noise: Buffer = Buffer.alloc(0);
  /** Bytes that came before the hello. */
  private passed = 0;
  private said = '';
  private ending = false;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly exited: Promise<void>;

  /** @param onChange is told what changed in shared memory, and the number of our last frame that the agent had read. */
  private constructor(
    private readonly command: AgentCommand,
    private readonly onSaid: (line: string) => void,
    private readonly onChange: (change: Change, read: number) => void,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    // In a session of its own: Ctrl-C in a terminal is the client's, who ends it in good order.
    const child = spawn(command.program, command.args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
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
        // What it said last; a connection that ssh shares and keeps has the streams open for longer.
        const cancel = startTimer(lastWordsMs, ended);
        child.on('close', () => {
          cancel();
          ended();
        });
      });
    });
  }

  /** @throws TeecError COMMUNICATION saying why there is no agent. */
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

  /** @throws TeecError COMMUNICATION when the agent cannot be reached any more. */
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

  /** Tell what has changed in shared memory. @param changes of what is told under that number. */
  tell(changes: (number: number) => readonly Change[]): void {
    if (this.why !== undefined) return;
    const number = this.next();
    for (const each of memoryFrames(changes(number), number)) this.child.stdin.write(each);
  }

  /** Nothing is asked for any more. Resolves, in bounded time, when the program has ended. */
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

  /** @returns what follows the hello. */
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

  /** The first reason is why. */
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

  /** The process stays for as long as something is asked for. */
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
