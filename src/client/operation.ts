import { show } from '../show.js';
import type { ParamDirection, TeeParam } from '../tee/tee-param.js';
import { noneParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters } from '../tee/teec-error.js';
import { claimSizes } from './memref-sizes.js';
import type { Parameter, Parameters, Value } from './parameters.js';
import { SharedMemory } from './shared-memory.js';
import { joinOverlapping, TemporaryBlock } from './temporary-block.js';
import type { TemporaryMemory } from './temporary-memory.js';

/** TEEC_Operation: the parameters of one call, for sending and after the return. */
export class Operation {
  readonly params: TeeParam[] = [];
  /** The memory behind temporary references, by parameter. Overlapping buffers share one block. */
  private blocks: (TemporaryBlock | undefined)[] | undefined;
  private carriedOut = false;

  constructor(
    private readonly parameters: Parameters,
    private readonly temporaryMemory: TemporaryMemory,
  ) {}

  /** Check the parameters and copy their data into shared memory. A promise if memory must be allocated. */
  prepare(): Promise<void> | undefined {
    const { parameters } = this;
    if (!Array.isArray(parameters) || parameters.length > 4)
      throw badParameters('parameters must be an array of at most four');
    for (let index = 0; index < parameters.length; index++) {
      const parameter: Parameter | undefined = parameters[index];
      switch (parameter?.kind) {
        case 'none':
          this.params.push(noneParam);
          break;
        case 'value':
          checkDirection(parameter.direction, index);
          checkUint32(parameter.a, index, 'a');
          checkUint32(parameter.b, index, 'b');
          this.params.push({ type: 'value', direction: parameter.direction, a: parameter.a, b: parameter.b, c: 0 });
          break;
        case 'shared-memref': {
          const { direction, memory, offset, size } = parameter;
          checkDirection(direction, index);
          if (!(memory instanceof SharedMemory))
            throw badParameters(`parameter ${index}: its memory is not a SharedMemory`);
          checkPart(offset, size, memory.size, index);
          this.params.push({ type: 'memref', direction, shm: memory.shm, offset, size });
          break;
        }
        case 'temporary-memref': {
          const { direction, buffer } = parameter;
          checkDirection(direction, index);
          if (buffer !== null && !(buffer instanceof Uint8Array))
            throw badParameters(`parameter ${index}: a temporary memory reference must be a Uint8Array or null`);
          if (buffer === null && this.temporaryMemory.knowsNull) {
            this.params.push({ type: 'memref', direction, shm: null, offset: 0, size: 0 });
          } else {
            this.params.push(noneParam);
            this.blocks ??= [];
            this.blocks[index] = new TemporaryBlock(direction, buffer ?? nothing);
          }
          break;
        }
        default:
          throw badParameters(`parameter ${index} is not a parameter: use value, temporary, memref or none`);
      }
    }
    // All parameters are checked first, so that a refused call copies no data and allocates no memory.
    for (let index = 0; index < parameters.length; index++) {
      const parameter: Parameter | undefined = parameters[index];
      if (parameter?.kind === 'shared-memref') parameter.memory.carryIn(parameter.offset, parameter.size);
    }
    return this.blocks === undefined ? undefined : this.fetch(this.blocks);
  }

  /** The returned value or bytes, by parameter. */
  outputs(): (undefined | Value | Uint8Array)[] {
    const outputs: (undefined | Value | Uint8Array)[] = [];
    for (let index = 0; index < this.params.length; index++) outputs.push(this.output(index));
    this.carriedOut = true;
    if (this.excess() !== undefined) claimSizes(outputs, this.sizes());
    return outputs;
  }

  /** The returned size of each memory reference. With SHORT_BUFFER: the size needed. */
  sizes(): (undefined | number)[] {
    return this.params.map((param) => (param.type === 'memref' ? param.size : undefined));
  }

  /** The memory of all parameters, in bytes. */
  memorySize(): number {
    return this.parameters.reduce((sum, parameter) => sum + roomOf(parameter), 0);
  }

  /** A text naming the memory reference whose returned size exceeds its buffer; undefined if there is none. */
  excess(): string | undefined {
    for (let index = 0; index < this.params.length; index++) {
      const param = this.params[index];
      if (param?.type !== 'memref' || param.direction === 'input') continue;
      const room = roomOf(this.parameters[index]);
      if (param.size > room) return `parameter ${index} needs ${param.size} bytes, there is room for ${room}`;
    }
    return undefined;
  }

  /**
   * End the operation, whatever the result of the call: copy what the TA wrote into registered memory to the client,
   * release temporary memory. A promise if that takes time.
   */
  release(): Promise<void> | undefined {
    for (let index = 0; index < this.params.length && !this.carriedOut; index++) {
      const parameter: Parameter | undefined = this.parameters[index];
      if (parameter?.kind === 'shared-memref' && parameter.direction !== 'input')
        parameter.memory.carryOut(parameter.offset, parameter.size);
    }
    const { blocks } = this;
    if (blocks === undefined) return undefined;
    this.blocks = undefined;
    return this.giveBack(blocks);
  }

  private fetch(blocks: (TemporaryBlock | undefined)[]): Promise<void> | undefined {
    joinOverlapping(blocks);
    let waiting: Promise<void>[] | undefined;
    blocks.forEach((block, index) => {
      if (block === undefined || blocks.indexOf(block) !== index) return;
      const shm = this.temporaryMemory.acquire(block.size);
      if (shm instanceof Promise) {
        waiting ??= [];
        waiting.push(shm.then((acquired) => this.send(block, acquired)));
      } else this.send(block, shm);
    });
    if (waiting === undefined) {
      this.refer(blocks);
      return undefined;
    }
    const all = waiting;
    return Promise.all(all).then(
      () => this.refer(blocks),
      async (error: unknown) => {
        await Promise.allSettled(all);
        await this.release();
        throw error;
      },
    );
  }

  private send(block: TemporaryBlock, shm: TeeShm): void {
    block.begin(shm);
    if (block.carriesBack) this.temporaryMemory.enter(block);
  }

  /** Point the parameters to their memory, now that every temporary reference has it. */
  private refer(blocks: readonly (TemporaryBlock | undefined)[]): void {
    blocks.forEach((block, index) => {
      const parameter: Parameter | undefined = this.parameters[index];
      if (block === undefined || parameter?.kind !== 'temporary-memref') return;
      const buffer = parameter.buffer ?? nothing;
      this.params[index] = {
        type: 'memref',
        direction: parameter.direction,
        shm: block.shm,
        offset: block.offsetOf(buffer),
        size: buffer.length,
      };
    });
  }

  private giveBack(blocks: readonly (TemporaryBlock | undefined)[]): Promise<void> | undefined {
    let waiting: Promise<void>[] | undefined;
    blocks.forEach((block, index) => {
      if (block === undefined || !block.begun || blocks.indexOf(block) !== index) return;
      if (block.carriesBack) this.temporaryMemory.leave(block);
      const given = this.temporaryMemory.release(block.shm, block.size);
      if (given !== undefined) {
        waiting ??= [];
        waiting.push(given);
      }
    });
    return waiting === undefined ? undefined : Promise.all(waiting).then(() => undefined);
  }

  private output(index: number): undefined | Value | Uint8Array {
    const parameter: Parameter | undefined = this.parameters[index];
    const param = this.params[index];
    if (parameter === undefined || parameter.kind === 'none' || parameter.direction === 'input') return undefined;
    if (parameter.kind === 'value') return param?.type === 'value' ? { a: param.a >>> 0, b: param.b >>> 0 } : undefined;
    if (param?.type !== 'memref') return undefined;
    // A size larger than the buffer is the size needed; the data then fills the buffer.
    const size = Math.min(param.size, roomOf(parameter));
    if (parameter.kind === 'shared-memref') {
      const { memory, offset } = parameter;
      memory.carryOut(offset, parameter.size);
      return memory.bytes.subarray(offset, offset + size);
    }
    const written = (parameter.buffer ?? nothing).subarray(0, size);
    this.blocks?.[index]?.carryOut(parameter.direction, param.offset, written);
    return written;
  }
}

const nothing = new Uint8Array(0);

function roomOf(parameter: Parameter | undefined): number {
  switch (parameter?.kind) {
    case 'shared-memref':
      return parameter.size;
    case 'temporary-memref':
      return parameter.buffer?.length ?? 0;
    default:
      return 0;
  }
}

function checkDirection(direction: ParamDirection, index: number): void {
  if (direction !== 'input' && direction !== 'output' && direction !== 'inout')
    throw badParameters(`parameter ${index}: direction ${show(direction)}; allowed: input, output and inout`);
}

function checkUint32(word: number, index: number, name: string): void {
  if (!(Number.isInteger(word) && word >= 0 && word <= 0xffff_ffff))
    throw badParameters(`parameter ${index}: value ${name} is ${show(word)}; allowed: integers from 0 to 4294967295`);
}

function checkPart(offset: number, size: number, available: number, index: number): void {
  if (!(Number.isInteger(offset) && Number.isInteger(size) && offset >= 0 && size >= 0 && offset + size <= available))
    throw badParameters(
      `parameter ${index}: offset ${show(offset)}, ${show(size)} bytes, is outside its ${available} bytes`,
    );
}
