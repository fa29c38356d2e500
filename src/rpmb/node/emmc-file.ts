import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { lockPath } from '../../files/lock-path.js';
import { rpmbBlockSize, rpmbCidSize, rpmbKeySize } from '../../protocol/rpmb.js';
import {
  type EmmcMemory,
  EmulatedEmmc,
  type EmulatedEmmcOptions,
  maxReliableWriteSectors,
  maxSizeMultiplier,
} from '../emulated-emmc.js';
import { hmacSha256 } from './hmac.js';

/*
 * The file of a card, little endian:
 *
 *   0              header: magic, version, size multiplier, reliable write sectors, identification
 *   512            record 0, then record 1: the two last commits
 *   after them     the blocks of the partition
 *
 * A record is a self-contained commit: the counter and the key after it, and the blocks that it wrote, with a digest.
 * Commits alternate between the two records, so an interrupted one leaves the previous one intact. After a commit, its
 * blocks are written to their place. The newest complete record is the state of the card; opening the file writes its
 * blocks to their place again.
 */
const magic = 'normalworld eMMC';
const version = 1;
const headerSize = 512;
const headerOffsets = { version: 16, sizeMultiplier: 20, reliableWriteSectors: 24, cid: 32 } as const;

/** Offsets in a record. The digest covers everything after it. */
const digestSize = 32;
const recordOffsets = { number: 32, counter: 36, hasKey: 40, first: 44, count: 48, key: 52 } as const;
const recordHeaderSize = recordOffsets.key + rpmbKeySize;

/** Options of a card in a file. */
export interface EmmcFileOptions extends Omit<EmulatedEmmcOptions, 'hmac' | 'memory'> {
  readonly hmac?: EmulatedEmmcOptions['hmac'];
}

/**
 * An emulated card that keeps its key, counter and blocks in a file. A new object on the same file is the same card.
 * Each write is atomic, also if this process is killed during it. One object at a time may use the file. Identification
 * and sizes come from the file if it exists. A key is programmed if the card has none.
 */
export class EmmcFile extends EmulatedEmmc implements Disposable {
  private constructor(
    options: EmulatedEmmcOptions,
    private readonly kept: CardFile,
  ) {
    super(options);
  }

  /**
   * @throws TeecError BUSY if the file is in use; RangeError if the file is not a card, or not a card with these
   *   options; Error of the file system.
   */
  static open(path: string, options: EmmcFileOptions = {}): EmmcFile {
    // A card in memory checks the options.
    if (!existsSync(path)) create(path, new EmulatedEmmc({ hmac: hmacSha256, ...options }));
    const file = new CardFile(path);
    try {
      const { cid, sizeMultiplier, reliableWriteSectors } = file.shape;
      for (const [name, wanted, is] of [
        ['sizeMultiplier', options.sizeMultiplier, sizeMultiplier],
        ['reliableWriteSectors', options.reliableWriteSectors, reliableWriteSectors],
        ['cid', options.cid && Buffer.from(options.cid).toString('hex'), Buffer.from(cid).toString('hex')],
      ])
        if (wanted !== undefined && wanted !== is)
          throw new RangeError(`${path} is a card whose ${name} is ${is}, not ${wanted}`);
      return new EmmcFile({ hmac: hmacSha256, ...options, ...file.shape, memory: file }, file);
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.kept[Symbol.dispose]();
  }
}

interface CardShape {
  readonly cid: Uint8Array;
  readonly sizeMultiplier: number;
  readonly reliableWriteSectors: number;
}

/** Create the file of a new card atomically. */
function create(path: string, { cid, sizeMultiplier, reliableWriteSectors }: CardShape): void {
  const header = new Uint8Array(headerSize);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode(magic));
  view.setUint32(headerOffsets.version, version, true);
  view.setUint32(headerOffsets.sizeMultiplier, sizeMultiplier, true);
  view.setUint32(headerOffsets.reliableWriteSectors, reliableWriteSectors, true);
  header.set(cid, headerOffsets.cid);
  const made = `${path}.${process.pid}.new`;
  const descriptor = openSync(made, 'wx');
  try {
    writeSync(descriptor, header, 0, headerSize, 0);
    fsyncSync(descriptor);
    renameSync(made, path);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

interface Commit {
  readonly number: number;
  readonly counter: number;
  readonly key: Uint8Array | undefined;
  readonly first: number;
  readonly blocks: Uint8Array;
}

class CardFile implements EmmcMemory, Disposable {
  readonly shape: CardShape;
  private readonly descriptor: number;
  private readonly unlock: () => void;
  private readonly recordSize: number;
  private last: Commit = { number: 0, counter: 0, key: undefined, first: 0, blocks: new Uint8Array(0) };
  /** The blocks of the last commit are only in its record, because the file system refused to write them to their place. */
  private isPending = false;

  constructor(private readonly path: string) {
    this.unlock = lockPath('file', 'eMMC card', path);
    try {
      this.descriptor = openSync(path, 'r+');
    } catch (error) {
      this.unlock();
      throw error;
    }
    try {
      this.shape = this.readShape();
      const largestWrite = 2 * this.shape.reliableWriteSectors * rpmbBlockSize;
      this.recordSize = Math.ceil((recordHeaderSize + largestWrite) / headerSize) * headerSize;
      const records = [this.readRecord(0), this.readRecord(1)];
      // The first commit is in record 1, and is complete before the next one begins in record 0.
      if (records[0] === 'torn' && typeof records[1] === 'string')
        throw new RangeError(`${path} is a damaged file of an eMMC card: neither of its last two commits is complete`);
      for (const commit of records)
        if (typeof commit !== 'string' && commit.number > this.last.number) this.last = commit;
      this.put(this.last);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get key(): Uint8Array | undefined {
    return this.last.key;
  }

  get writeCounter(): number {
    return this.last.counter;
  }

  programKey(key: Uint8Array): void {
    this.commit({ ...this.last, key, number: this.last.number + 1, first: 0, blocks: new Uint8Array(0) });
  }

  read(block: number): Uint8Array {
    const data = new Uint8Array(rpmbBlockSize);
    const { first, blocks } = this.last;
    const offset = (block - first) * rpmbBlockSize;
    if (this.isPending && offset >= 0 && offset < blocks.length)
      data.set(blocks.subarray(offset, offset + rpmbBlockSize));
    else readSync(this.descriptor, data, 0, data.length, this.placeOf(block));
    return data;
  }

  write(first: number, blocks: readonly Uint8Array[]): void {
    const { key, number, counter } = this.last;
    this.commit({ key, number: number + 1, counter: counter + 1, first, blocks: Buffer.concat(blocks) });
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
    this.unlock();
  }

  private commit(commit: Commit): void {
    const { number, counter, key, first, blocks } = commit;
    // The commit after the next one overwrites the record of the last one.
    if (this.isPending) this.put(this.last);
    const record = new Uint8Array(recordHeaderSize + blocks.length);
    const view = new DataView(record.buffer);
    view.setUint32(recordOffsets.number, number, true);
    view.setUint32(recordOffsets.counter, counter, true);
    view.setUint32(recordOffsets.hasKey, key === undefined ? 0 : 1, true);
    view.setUint32(recordOffsets.first, first, true);
    view.setUint32(recordOffsets.count, blocks.length / rpmbBlockSize, true);
    record.set(key ?? [], recordOffsets.key);
    record.set(blocks, recordHeaderSize);
    record.set(digestOf(record));
    this.writeAt(record, this.placeOfRecord(number % 2));
    // The commit is durable here, even if the process is killed later, or its blocks cannot be written to their place.
    this.last = commit;
    try {
      this.put(commit);
    } catch {
      // Opening the file or the next commit tries again, and reports the error.
    }
  }

  /** Write the blocks of a commit to their place. */
  private put({ first, blocks }: Commit): void {
    this.isPending = true;
    if (blocks.length > 0) this.writeAt(blocks, this.placeOf(first));
    this.isPending = false;
  }

  private readShape(): CardShape {
    const header = new Uint8Array(headerSize);
    const read = readSync(this.descriptor, header, 0, headerSize, 0);
    const view = new DataView(header.buffer);
    if (read < headerSize || new TextDecoder().decode(header.subarray(0, magic.length)) !== magic)
      throw new RangeError(`${this.path} is not a file of an eMMC card`);
    const found = view.getUint32(headerOffsets.version, true);
    if (found !== version)
      throw new RangeError(`${this.path} is an eMMC card file of version ${found}, expected ${version}`);
    const sizeMultiplier = view.getUint32(headerOffsets.sizeMultiplier, true);
    const reliableWriteSectors = view.getUint32(headerOffsets.reliableWriteSectors, true);
    if (sizeMultiplier > maxSizeMultiplier || reliableWriteSectors > maxReliableWriteSectors)
      throw new RangeError(`${this.path} is a damaged file of an eMMC card: its header has impossible sizes`);
    return {
      sizeMultiplier,
      reliableWriteSectors,
      cid: header.slice(headerOffsets.cid, headerOffsets.cid + rpmbCidSize),
    };
  }

  private readRecord(place: number): Commit | 'none' | 'torn' {
    const record = new Uint8Array(this.recordSize);
    const length = readSync(this.descriptor, record, 0, record.length, this.placeOfRecord(place));
    if (record.every((octet) => octet === 0)) return 'none';
    const view = new DataView(record.buffer);
    const size = recordHeaderSize + view.getUint32(recordOffsets.count, true) * rpmbBlockSize;
    if (size > length) return 'torn';
    const whole = record.subarray(0, size);
    if (Buffer.compare(whole.subarray(0, digestSize), digestOf(whole)) !== 0) return 'torn';
    return {
      number: view.getUint32(recordOffsets.number, true),
      counter: view.getUint32(recordOffsets.counter, true),
      key:
        view.getUint32(recordOffsets.hasKey, true) === 0
          ? undefined
          : record.slice(recordOffsets.key, recordOffsets.key + rpmbKeySize),
      first: view.getUint32(recordOffsets.first, true),
      blocks: whole.slice(recordHeaderSize),
    };
  }

  private placeOfRecord(place: number): number {
    return headerSize + place * this.recordSize;
  }

  private placeOf(block: number): number {
    return headerSize + 2 * this.recordSize + block * rpmbBlockSize;
  }

  private writeAt(bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.descriptor, bytes, done, bytes.length - done, position + done);
  }
}

function digestOf(record: Uint8Array): Uint8Array {
  return createHash('sha256').update(record.subarray(digestSize)).digest();
}
