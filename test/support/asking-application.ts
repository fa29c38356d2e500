import { openTee, type SupplicantSettings, type TaCall, type Tee, trustedApplication } from '../../src/index.js';
import type { TeecError } from '../../src/tee/teec-error.js';
import { rpcValue } from '../../src/testing.js';

type RpcParam = NonNullable<Parameters<TaCall['rpc']>[1]>[number];

/** A value, the words of one; or octets, that many to come back, or those to go. */
export type Asked =
  | { readonly value: 'input' | 'output' | 'inout'; readonly words?: readonly number[] }
  | { readonly bytes: 'input' | 'output' | 'inout'; readonly content: Uint8Array | number }
  /** A reference to no memory, of any size. */
  | { readonly bytes: 'null'; readonly direction: 'input' | 'output' | 'inout'; readonly content: number };

export interface Answer {
  readonly result: number;
  readonly params: readonly RpcParam[];
  /** What came back in each reference to memory. */
  readonly bytes: readonly Uint8Array[];
}

/** Words of an input value. */
export const input = (...words: number[]): Asked => ({ value: 'input', words });
export const inout = (...words: number[]): Asked => ({ value: 'inout', words });
export const output: Asked = { value: 'output' };
export const text = (of: string): Asked => ({ bytes: 'input', content: new TextEncoder().encode(`${of}\0`) });
export const nothing = (direction: 'input' | 'output' | 'inout', size: number): Asked => ({
  bytes: 'null',
  direction,
  content: size,
});
export const octets = (bytes: 'input' | 'output' | 'inout', content: Uint8Array | number): Asked => ({
  bytes,
  content,
});

/** A TEE with a trusted application that asks its supplicant whatever a test says. */
export class AskingTee {
  private constructor(
    readonly tee: Tee,
    private readonly invoke: (work: (call: TaCall) => Promise<void>) => Promise<void>,
    /** What the supplicant reported. */
    readonly reported: TeecError[],
  ) {}

  static async open(supplicant: SupplicantSettings, options: { readonly storageFolder?: string } = {}) {
    let todo: (call: TaCall) => Promise<void> = async () => {};
    const application = trustedApplication({
      uuid: '11111111-0000-4000-8000-00000000a51c',
      kind: 'pseudo',
      concurrent: true,
      create: () => ({ invokeCommand: (call) => todo(call) }),
    });
    const reported: TeecError[] = [];
    const tee = await openTee({
      trustedApplications: [application],
      supplicant: { onError: (error) => reported.push(error), ...supplicant },
      ...options,
    });
    const session = await tee.openContext().openSession(application.uuid);
    return new AskingTee(
      tee,
      async (work) => {
        todo = work;
        await session.invoke(0);
      },
      reported,
    );
  }

  /** One request. */
  async ask(command: number, asked: readonly Asked[]): Promise<Answer> {
    let answer: Answer | undefined;
    await this.invoke(async (call) => {
      answer = await ask(call, command, asked);
    });
    if (answer === undefined) throw new Error('nothing was asked');
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tee.close();
  }
}

export async function ask(call: TaCall, command: number, asked: readonly Asked[]): Promise<Answer> {
  const size = asked.reduce(
    (sum, each) => sum + ('bytes' in each && each.bytes !== 'null' ? sizeOf(each.content) : 0),
    0,
  );
  const memory = await call.allocateRpcMemory(Math.max(size, 1));
  let offset = 0;
  const params = asked.map((each): RpcParam => {
    if ('value' in each) return rpcValue(each.value, ...(each.words ?? []));
    const length = sizeOf(each.content);
    if (each.bytes === 'null')
      return { type: 'memref', direction: each.direction, mobj: undefined, offset: 0, size: length };
    if (typeof each.content !== 'number') memory.mobj.write(each.content, offset);
    offset += length;
    return { type: 'memref', direction: each.bytes, mobj: memory.mobj, offset: offset - length, size: length };
  });
  const result = await call.rpc(command, params);
  const came = params.map((param) =>
    param.type === 'memref' &&
    param.mobj !== undefined &&
    param.direction !== 'input' &&
    param.offset + param.size <= param.mobj.size
      ? param.mobj.read(param.offset, param.size)
      : new Uint8Array(0),
  );
  await call.freeRpcMemory(memory);
  return { result, params, bytes: came };
}

const sizeOf = (content: Uint8Array | number) => (typeof content === 'number' ? content : content.length);
