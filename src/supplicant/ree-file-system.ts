/** A file of the normal world that secure world reads and writes; offsets and lengths in bytes. */
export interface ReeFile {
  /** Fill `buffer` from `offset`; the bytes read, fewer at the end of the file. */
  read(offset: number, buffer: Uint8Array): number | Promise<number>;
  write(offset: number, data: Uint8Array): void | Promise<void>;
  truncate(length: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/**
 * The files that OP-TEE's secure storage keeps in the normal world ("REE FS"). Names are relative paths; a name that
 * leaves the file system is refused. What has been written or created is durable when the call returns, as secure
 * storage relies on it.
 *
 * Failures are TeecErrors: ITEM_NOT_FOUND, ACCESS_CONFLICT, STORAGE_NO_SPACE, BAD_PARAMETERS.
 */
export interface ReeFileSystem {
  open(name: string): ReeFile | Promise<ReeFile>;
  /** Creates missing folders on the way; empties a file that exists. */
  create(name: string): ReeFile | Promise<ReeFile>;
  /** Removes the folders that it leaves empty. */
  remove(name: string): void | Promise<void>;
  rename(from: string, to: string, overwrite: boolean): void | Promise<void>;
  /** Names in a folder. */
  list(name: string): readonly string[] | Promise<readonly string[]>;
}
