import { type SmcRegisters, smcRegisters } from '../../protocol/conduit.js';
import type { FatalException } from './fatal-exception.js';

// The layout of firmware/layout.h, in 32-bit words.
const opteeSize = 0x00 / 4;
const polls = 0x04 / 4;
const hostSleeps = 0x08 / 4;
const abi = 0x0c / 4;
const pageableSize = 0x10 / 4;
const slots = 0x100 / 4;
const slotSize = 0x100 / 4;
const doorbell = 0x00 / 4;
const args = 0x08 / 4;
const done = 0x40 / 4;
const state = 0x44 / 4;
const results = 0x48 / 4;
const notifications = 0x68 / 4;
const fatal = 0x80 / 4;

const cpuAbsent = 0;
const cpuSleeping = 2;

const abiFfa = 2;

/** MAILBOX and the maximum number of CPUs of firmware/layout.h. */
export const mailboxAddress = 0x4010_0000;
export const mailboxSize = 0x1000;
export const maxCpus = 4;

/**
 * The memory through which host and firmware communicate: a header, and a slot per CPU. Every access is atomic and
 * sequentially consistent. One side writes the doorbell and then reads whether the other sleeps; the other side writes
 * that it sleeps and then reads the doorbell. A reordering on either side would lose a wake-up.
 */
export class Mailbox {
  private readonly words: Int32Array;

  constructor(buffer: ArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  /** OP-TEE's image, of `bytes` bytes, is in the staging area; the firmware continues. */
  set opteeSize(bytes: number) {
    Atomics.store(this.words, opteeSize, bytes);
  }

  /** Its pageable part, of `bytes` bytes, is in its staging area. Must be set before `opteeSize`. */
  set pageableSize(bytes: number) {
    Atomics.store(this.words, pageableSize, bytes);
  }

  /** The number of doorbell polls of an idle CPU before it sleeps. */
  set polls(count: number) {
    Atomics.store(this.words, polls, count);
  }

  /** Whether the firmware must write a byte to UART0 when a call is done. */
  set hostSleeps(sleeps: boolean) {
    Atomics.store(this.words, hostSleeps, sleeps ? 1 : 0);
  }

  /** The ABI of OP-TEE, which depends on its image. Valid once the first CPU is present. */
  get abi(): 'smc' | 'ffa' {
    return Atomics.load(this.words, abi) === abiFfa ? 'ffa' : 'smc';
  }

  /** The number of OP-TEE's asynchronous notification interrupts on all CPUs, modulo 2^32. */
  get notifications(): number {
    let count = 0;
    for (let cpu = 0; cpu < maxCpus; cpu++) count += Atomics.load(this.words, this.slot(cpu) + notifications);
    return count >>> 0;
  }

  isPresent(cpu: number): boolean {
    return Atomics.load(this.words, this.slot(cpu) + state) !== cpuAbsent;
  }

  /** Whether the CPU sleeps: it then reads its doorbell only after a byte with its number arrives on UART0. */
  isSleeping(cpu: number): boolean {
    return Atomics.load(this.words, this.slot(cpu) + state) === cpuSleeping;
  }

  /** Make the CPU execute an SMC. `call` is the number of the call on that CPU, one more than the previous one. */
  post(cpu: number, call: number, registers: SmcRegisters): void {
    const { words } = this;
    const at = this.slot(cpu) + args;
    words[at] = registers.a0;
    words[at + 1] = registers.a1;
    words[at + 2] = registers.a2;
    words[at + 3] = registers.a3;
    words[at + 4] = registers.a4;
    words[at + 5] = registers.a5;
    words[at + 6] = registers.a6;
    words[at + 7] = registers.a7;
    Atomics.store(words, this.slot(cpu) + doorbell, call);
  }

  isDone(cpu: number, call: number): boolean {
    return Atomics.load(this.words, this.slot(cpu) + done) === call;
  }

  /** The result registers of a completed call. */
  results(cpu: number): SmcRegisters {
    const at = this.slot(cpu) + results;
    return smcRegisters(
      ...([this.word(at), this.word(at + 1), this.word(at + 2), this.word(at + 3)] as const),
      ...([this.word(at + 4), this.word(at + 5), this.word(at + 6), this.word(at + 7)] as const),
    );
  }

  /** The fatal exception that ended the firmware on that CPU, if any. */
  fatalException(cpu: number): FatalException | undefined {
    const at = this.slot(cpu) + fatal;
    if (Atomics.load(this.words, at) === 0) return undefined;
    return {
      cpu,
      vector: this.word(at + 1),
      syndrome: this.doubleWord(at + 2),
      address: this.doubleWord(at + 4),
      faultAddress: this.doubleWord(at + 6),
    };
  }

  private slot(cpu: number): number {
    return slots + cpu * slotSize;
  }

  private word(index: number): number {
    return (this.words[index] ?? 0) >>> 0;
  }

  private doubleWord(index: number): bigint {
    return (BigInt(this.word(index + 1)) << 32n) | BigInt(this.word(index));
  }
}
