import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import { pathParts } from './path-parts.js';
import type { ReeFile, ReeFileSystem } from './ree-file-system.js';

interface MemoryFileData {
  bytes: Uint8Array;
}

/** Files in memory, gone with the process. */
export class MemoryFileSystem implements ReeFileSystem {
  private readonly files = new Map<string, MemoryFileData>();

  open(name: string): ReeFile {
    return new MemoryFile(this.find(name));
  }

  create(name: string): ReeFile {
    const path = pathOf(name);
    const data = this.files.get(path) ?? { bytes: new Uint8Array(0) };
    data.bytes = new Uint8Array(0);
    this.files.set(path, data);
    return new MemoryFile(data);
  }

  remove(name: string): void {
    this.find(name);
    this.files.delete(pathOf(name));
  }

  rename(from: string, to: string, overwrite: boolean): void {
    const data = this.find(from);
    const target = pathOf(to);
    if (!overwrite && this.files.has(target))
      throw commsError(TeeResult.ERROR_ACCESS_CONFLICT, `renaming ${from} to ${to}, which exists`);
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

class MemoryFile implements ReeFile {
  constructor(private readonly data: MemoryFileData) {}

  read(offset: number, buffer: Uint8Array): number {
    const part = this.data.bytes.subarray(offset, offset + buffer.length);
    buffer.set(part);
    return part.length;
  }

  write(offset: number, data: Uint8Array): void {
    if (offset + data.length > this.data.bytes.length) this.truncate(offset + data.length);
    this.data.bytes.set(data, offset);
  }

  truncate(length: number): void {
    const bytes = new Uint8Array(length);
    bytes.set(this.data.bytes.subarray(0, length));
    this.data.bytes = bytes;
  }

  close(): void {}
}

function pathOf(name: string): string {
  return pathParts(name).join('/');
}
