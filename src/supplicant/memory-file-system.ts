import { requireAmount, requireKnownOptions } from '../known-options.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import { pathParts } from './path-parts.js';
import { maxFileSize, type ReeFile, type ReeFileSystem } from './ree-file-system.js';
import { SingleOwner } from './single-owner.js';

/** Memory is allocated in pieces of this many bytes, on the first write to each. */
const pieceSize = 4096;

/** Default capacity: bytes that all files of a file system may have written together. */
const defaultCapacity = 256 * 1024 * 1024;

/** Files in memory, lost with the process. Ranges that were never written read as zeros and take no memory. */
export class MemoryFileSystem implements ReeFileSystem {
  private readonly files = new Map<string, MemoryFileData>();
  private readonly room: Room;
  private readonly owner = new SingleOwner('the file system in memory');

  /** @param capacity bytes of memory for the contents of all files; beyond it, writes fail with STORAGE_NO_SPACE. */
  constructor(options: { readonly capacity?: number } = {}) {
    requireKnownOptions('MemoryFileSystem', options, { capacity: true });
    const { capacity = defaultCapacity } = options;
    requireAmount('MemoryFileSystem', 'capacity', capacity);
    this.room = new Room(capacity);
  }

  claim(tee: object): () => void {
    return this.owner.claim(tee);
  }

  open(name: string): ReeFile {
    return this.find(name).open();
  }

  create(name: string): ReeFile {
    const path = pathOf(name);
    if (path === '') throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `creating file "${name}": it has no name`);
    const data = this.files.get(path) ?? new MemoryFileData(name, this.room);
    data.truncate(0);
    this.files.set(path, data);
    return data.open();
  }

  remove(name: string): void {
    this.find(name).removed();
    this.files.delete(pathOf(name));
  }

  rename(from: string, to: string, overwrite: boolean): void {
    const data = this.find(from);
    const target = pathOf(to);
    const there = this.files.get(target);
    if (there === data) return;
    if (there !== undefined) {
      if (!overwrite) throw commsError(TeeResult.ERROR_ACCESS_CONFLICT, `renaming ${from} to ${to}, which exists`);
      there.removed();
    }
    this.files.delete(pathOf(from));
    this.files.set(target, data);
  }

  list(name: string): readonly string[] {
    const folder = pathOf(name);
    const prefix = folder === '' ? '' : `${folder}/`;
    const names = new Set<string>();
    for (const path of this.files.keys())
      if (path.startsWith(prefix)) names.add(path.slice(prefix.length).split('/')[0] ?? '');
    if (names.size === 0) throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `folder ${name}`);
    return [...names];
  }

  private find(name: string): MemoryFileData {
    const data = this.files.get(pathOf(name));
    if (data === undefined) throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `file ${name}`);
    return data;
  }
}

/** The memory that the files may use. */
class Room {
  private pieces = 0;

  constructor(private readonly capacity: number) {}

  /** @throws TeecError STORAGE_NO_SPACE */
  take(pieces: number, name: string): void {
    if ((this.pieces + pieces) * pieceSize > this.capacity)
      throw commsError(
        TeeResult.ERROR_STORAGE_NO_SPACE,
        `writing file ${name}: files in memory may use ${this.capacity} bytes in total`,
      );
    this.pieces += pieces;
  }

  give(pieces: number): void {
    this.pieces -= pieces;
  }
}

/** The content of a file. It exists as long as the file has a name or is open. */
class MemoryFileData {
  private readonly pieces = new Map<number, Uint8Array>();
  private length = 0;
  private handles = 0;
  private named = true;

  constructor(
    readonly name: string,
    private readonly room: Room,
  ) {}

  open(): ReeFile {
    this.handles++;
    return new MemoryFile(this);
  }

  closed(): void {
    this.handles--;
    this.freeWhenUnreachable();
  }

  removed(): void {
    this.named = false;
    this.freeWhenUnreachable();
  }

  read(offset: number, buffer: Uint8Array): number {
    const length = Math.max(0, Math.min(buffer.length, this.length - offset));
    buffer.fill(0, 0, length);
    for (const { index, inPiece, at, size } of spans(offset, length)) {
      const piece = this.pieces.get(index);
      if (piece !== undefined) buffer.set(piece.subarray(inPiece, inPiece + size), at);
    }
    return length;
  }

  write(offset: number, data: Uint8Array): void {
    checkLength(offset + data.length, this.name);
    const touched = [...spans(offset, data.length)];
    // A write is atomic: one that does not fit changes nothing.
    this.room.take(touched.filter(({ index }) => !this.pieces.has(index)).length, this.name);
    for (const { index, inPiece, at, size } of touched) {
      const piece = this.pieces.get(index) ?? new Uint8Array(pieceSize);
      piece.set(data.subarray(at, at + size), inPiece);
      this.pieces.set(index, piece);
    }
    this.length = Math.max(this.length, data.length > 0 ? offset + data.length : 0);
  }

  truncate(length: number): void {
    checkLength(length, this.name);
    if (length < this.length) {
      const kept = Math.ceil(length / pieceSize);
      for (const index of [...this.pieces.keys()])
        if (index >= kept) {
          this.pieces.delete(index);
          this.room.give(1);
        }
      if (length % pieceSize !== 0) this.pieces.get(kept - 1)?.fill(0, length % pieceSize);
    }
    this.length = length;
  }

  private freeWhenUnreachable(): void {
    if (this.named || this.handles > 0) return;
    this.room.give(this.pieces.size);
    this.pieces.clear();
    this.length = 0;
  }
}

class MemoryFile implements ReeFile {
  private isClosed = false;

  constructor(private readonly data: MemoryFileData) {}

  read(offset: number, buffer: Uint8Array): number {
    return this.data.read(offset, buffer);
  }

  write(offset: number, data: Uint8Array): void {
    this.data.write(offset, data);
  }

  truncate(length: number): void {
    this.data.truncate(length);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.data.closed();
  }
}

interface Span {
  readonly index: number;
  readonly inPiece: number;
  /** Offset in the caller's bytes. */
  readonly at: number;
  readonly size: number;
}

/** The pieces that cover a range. */
function* spans(offset: number, length: number): Generator<Span> {
  for (let at = 0; at < length; ) {
    const inPiece = (offset + at) % pieceSize;
    const size = Math.min(pieceSize - inPiece, length - at);
    yield { index: Math.floor((offset + at) / pieceSize), inPiece, at, size };
    at += size;
  }
}

function checkLength(length: number, name: string): void {
  if (!(length >= 0 && length <= maxFileSize))
    throw commsError(
      TeeResult.ERROR_STORAGE_NO_SPACE,
      `file ${name} of ${length} bytes: at most ${maxFileSize} are allowed`,
    );
}

function pathOf(name: string): string {
  return pathParts(name).join('/');
}
