import { noneParam, type TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters } from '../tee/teec-error.js';
import type { Parameter, Parameters, Value } from './parameters.js';
import type { TemporaryMemory } from './temporary-memory.js';

/** TEEC_Operation: the parameters of one call on their way to the TEE and back. */
export class Operation {
  readonly params: TeeParam[] = [];
  /** Shared memory behind temporary references, by parameter. */
  private temporary: Map<number, TeeShm> | undefined;

  constructor(
    private readonly parameters: Parameters,
    private readonly temporaryMemory: TemporaryMemory,
  ) {}

  /** Check the parameters and bring their data where secure world sees it; a promise when memory must be fetched. */
  prepare(): Promise<void> | undefined {
    const { parameters } = this;
    if (!Array.isArray(parameters) || parameters.length > 4)
      throw badParameters('parameters are an array of at most four');
    let waiting: Promise<void>[] | undefined;
    for (let index = 0; index < parameters.length; index++) {
      const parameter: Parameter | undefined = parameters[index];
      switch (parameter?.kind) {
        case 'none':
          this.params.push(noneParam);
          break;
        case 'value':
          checkUint32(parameter.a, index, 'a');
          checkUint32(parameter.b, index, 'b');
          this.params.push({ type: 'value', direction: parameter.direction, a: parameter.a, b: parameter.b, c: 0 });
          break;
        case 'shared-memref': {
          const { direction, memory, offset, size } = parameter;
          checkPart(offset, size, memory.size, index);
          if (direction !== 'output') memory.copyIn(offset, size);
          this.params.push({ type: 'memref', direction, shm: memory.shm, offset, size });
          break;
        }
        case 'temporary-memref': {
          const { direction, buffer } = parameter;
          if (buffer !== null && !(buffer instanceof Uint8Array))
            throw badParameters(`parameter ${index}: a temporary memory reference takes a Uint8Array or null`);
          if (buffer === null) {
            this.params.push({ type: 'memref', direction, shm: null, offset: 0, size: 0 });
          } else {
            this.params.push(noneParam);
            waiting ??= [];
            waiting.push(this.prepareTemporary(index, direction, buffer));
          }
          break;
        }
        default:
          throw badParameters(`parameter ${index} is not one: use value, temporary, memref or none`);
      }
    }
    if (waiting === undefined) return undefined;
    return Promise.all(waiting).then(
      () => undefined,
      async (error: unknown) => {
        await Promise.allSettled(waiting);
        await this.release();
        throw error;
      },
    );
  }

  /** What came back, by parameter. */
  outputs(): (undefined | Value | Uint8Array)[] {
    const outputs: (undefined | Value | Uint8Array)[] = [];
    for (let index = 0; index < this.params.length; index++) outputs.push(this.output(index));
    return outputs;
  }

  /** The size of each memory reference as it came back: with SHORT_BUFFER, what would be needed. */
  sizes(): (undefined | number)[] {
    return this.params.map((param) => (param.type === 'memref' ? param.size : undefined));
  }

  /** Give temporary memory back; a promise when there is any. */
  release(): Promise<void> | undefined {
    const { temporary } = this;
    if (temporary === undefined) return undefined;
    this.temporary = undefined;
    return Promise.all(
      [...temporary].map(([index, shm]) => {
        const parameter = this.parameters[index];
        const used = parameter?.kind === 'temporary-memref' ? (parameter.buffer?.length ?? 0) : 0;
        return this.temporaryMemory.release(shm, used);
      }),
    ).then(() => undefined);
  }

  private output(index: number): undefined | Value | Uint8Array {
    const parameter: Parameter | undefined = this.parameters[index];
    const param = this.params[index];
    if (parameter === undefined || parameter.kind === 'none' || parameter.direction === 'input') return undefined;
    if (parameter.kind === 'value') return param?.type === 'value' ? { a: param.a >>> 0, b: param.b >>> 0 } : undefined;
    if (param?.type !== 'memref') return undefined;
    const shared = parameter.kind === 'shared-memref';
    const room = shared ? parameter.size : (parameter.buffer?.length ?? 0);
    // A size larger than the room says what would be needed; then nothing was written.
    const size = param.size <= room ? param.size : 0;
    if (shared) {
      parameter.memory.copyOut(parameter.offset, size);
      return parameter.memory.bytes.subarray(parameter.offset, parameter.offset + size);
    }
    const written = parameter.buffer?.subarray(0, size) ?? new Uint8Array(0);
    this.temporary?.get(index)?.read(0, written);
    return written;
  }

  private async prepareTemporary(
    index: number,
    direction: 'input' | 'output' | 'inout',
    buffer: Uint8Array,
  ): Promise<void> {
    const shm = await this.temporaryMemory.acquire(buffer.length);
    this.temporary ??= new Map();
    this.temporary.set(index, shm);
    if (direction !== 'output') shm.write(0, buffer);
    this.params[index] = { type: 'memref', direction, shm, offset: 0, size: buffer.length };
  }
}

function checkUint32(word: number, index: number, name: string): void {
  if (!(Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff))
    throw badParameters(`parameter ${index}: value ${name} is ${word}, possible are integers from 0 to 4294967295`);
}

function checkPart(offset: number, size: number, available: number, index: number): void {
  if (!(Number.isInteger(offset) && Number.isInteger(size) && offset >= 0 && size >= 0 && offset + size <= available))
    throw badParameters(`parameter ${index}: offset ${offset}, ${size} bytes, is outside its ${available} bytes`);
}
