/**
 * The longest file, in bytes: 16 GiB. An object of secure storage holds at most 4 GiB (TEE_DATA_MAX_POSITION); OP-TEE keeps
 * each of its blocks and of the nodes above them twice (core/tee/fs_htree.c).
 */
export const maxFileSize = 2 ** 34;

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
 * leaves the file system is refused. What has been written, created, renamed or removed is durable when the call returns, as
 * secure storage relies on it.
 *
 * Failures are TeecErrors: ITEM_NOT_FOUND, ACCESS_CONFLICT, STORAGE_NO_SPACE, STORAGE_NOT_AVAILABLE, BAD_PARAMETERS. Others
 * are taken for what they say when they are the operating system's (`ENOSPC`), and for a bug when they are not.
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
  /**
   * A supplicant begins to serve from it, for this TEE. Secure storage keeps in memory what it believes to stand in its
   * files, so one TEE at a time may have them.
   * @returns ends it; called when the supplicant has left and its files are closed.
   * @throws TeecError BUSY when another TEE has it, STORAGE_NOT_AVAILABLE when it cannot be used.
   */
  claim?(tee: object): () => void;
}
