import type { TeeOrigin } from '../protocol/tee-result.js';
import { uuidOctets } from '../protocol/uuid.js';
import type { OpenSessionRequest, TeeReply } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import { InvokeArg, OpenSessionArg, ParamAttr, paramCountAt, paramDirections, paramSize } from '../uapi/tee.js';

/** Arguments of a client's ioctls, and their results. */

/** `memrefNullId` as a number: all bits are set. */
const memrefNull = -1;
/** Words of 64 bits are written in two halves, because a BigInt is allocated for each use. */
const half = 2 ** 32;

/** The argument of a request, as words of 32 bits. The ABI and the machines that it runs on are little-endian. */
export class RequestArgument {
  readonly bytes: Uint8Array;
  private readonly words: Uint32Array;

  constructor(
    private readonly head: number,
    readonly count: number,
  ) {
    this.words = new Uint32Array((head + count * paramSize) / 4);
    this.bytes = new Uint8Array(this.words.buffer);
    this.set(paramCountAt(head), count);
  }

  /** @param at offset in bytes. */
  get(at: number): number {
    return this.words[at >> 2] ?? 0;
  }

  set(at: number, word: number): void {
    this.words[at >> 2] = word;
  }

  setParams(params: readonly TeeParam[]): void {
    for (let index = 0; index < params.length; index++) {
      const param = params[index];
      if (param !== undefined) this.setParam(this.head + index * paramSize, param);
    }
  }

  /** Update the outputs of parameters in place. */
  updateParams(params: readonly TeeParam[]): void {
    for (let index = 0; index < params.length; index++) {
      const param = params[index];
      if (param === undefined || param.type === 'none' || param.direction === 'input') continue;
      const at = this.head + index * paramSize;
      if (param.type === 'memref') param.size = this.getWide(at + 16);
      else {
        param.a = this.getWide(at + 8);
        param.b = this.getWide(at + 16);
        param.c = this.getWide(at + 24);
      }
    }
  }

  private setParam(at: number, param: TeeParam): void {
    if (param.type === 'none') {
      this.words.fill(0, at >> 2, (at + paramSize) >> 2);
      return;
    }
    const direction = paramDirections.indexOf(param.direction);
    if (param.type === 'value') {
      this.setWide(at, ParamAttr.valueInput + direction);
      this.setWide(at + 8, param.a);
      this.setWide(at + 16, param.b);
      this.setWide(at + 24, param.c);
      if (param.octets !== undefined) this.bytes.set(param.octets, at + 8);
      return;
    }
    this.setWide(at, ParamAttr.memrefInput + direction);
    this.setWide(at + 8, param.shm === null ? 0 : param.offset);
    this.setWide(at + 16, param.size);
    this.setWide(at + 24, param.shm === null ? memrefNull : param.shm.secureWorldId);
  }

  /** @param word an integer of at most 53 bits; a negative one as its complement to 2^64. */
  private setWide(at: number, word: number): void {
    this.set(at, word);
    this.set(at + 4, Math.floor(word / half));
  }

  private getWide(at: number): number {
    return this.get(at) + this.get(at + 4) * half;
  }
}

/** The arguments of TEE_IOC_INVOKE. They are reused after their call, because calls can follow each other fast. */
export class InvokeArguments {
  /** Unused ones, by the number of parameters. */
  private readonly spare: RequestArgument[][] = [];

  take(command: number, session: number, cancelId: number, params: readonly TeeParam[]): RequestArgument {
    const arg = this.spare[params.length]?.pop() ?? new RequestArgument(InvokeArg.head, params.length);
    arg.set(InvokeArg.command, command);
    arg.set(InvokeArg.session, session);
    arg.set(InvokeArg.cancelId, cancelId);
    arg.set(InvokeArg.result, 0);
    arg.set(InvokeArg.origin, 0);
    arg.setParams(params);
    return arg;
  }

  /** Its call is over. */
  giveBack(arg: RequestArgument): void {
    this.spare[arg.count] ??= [];
    this.spare[arg.count]?.push(arg);
  }
}

/** The result of an invoke; outputs of parameters are updated in place. */
export function invokeReply(arg: RequestArgument, params: readonly TeeParam[]): TeeReply {
  arg.updateParams(params);
  return { result: arg.get(InvokeArg.result), origin: arg.get(InvokeArg.origin) as TeeOrigin };
}

/** The argument of TEE_IOC_OPEN_SESSION. The kernel computes the client's UUID; a group login passes the group. */
export function openSessionArgument(
  { uuid, client, login, cancelId }: OpenSessionRequest,
  params: readonly TeeParam[],
): RequestArgument {
  const arg = new RequestArgument(OpenSessionArg.head, params.length);
  arg.bytes.set(uuidOctets(uuid), OpenSessionArg.uuid);
  arg.set(OpenSessionArg.clientUuid, login.login === 'group' ? login.gid : 0);
  arg.set(OpenSessionArg.clientLogin, client.loginClass);
  arg.set(OpenSessionArg.cancelId, cancelId);
  arg.setParams(params);
  return arg;
}

/** The result of an open-session; outputs of parameters are updated in place. */
export function openSessionReply(
  arg: RequestArgument,
  params: readonly TeeParam[],
): TeeReply & { readonly session: number } {
  arg.updateParams(params);
  return {
    session: arg.get(OpenSessionArg.session),
    result: arg.get(OpenSessionArg.result),
    origin: arg.get(OpenSessionArg.origin) as TeeOrigin,
  };
}
