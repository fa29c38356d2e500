/**
 * The maximum file size in bytes: 16 GiB. An object of secure storage has at most 4 GiB (TEE_DATA_MAX_POSITION); OP-TEE
 * stores each of its blocks and of the hash tree's nodes twice (core/tee/fs_htree.c).
 */
export const maxFileSize = 2 ** 34;

/** A file of the normal world that secure world reads and writes; offsets and lengths in bytes. */
export interface ReeFile {
  /** Fill `buffer` from `offset`. Returns the number of bytes read, which is smaller at the end of the file. */
  read(offset: number, buffer: Uint8Array): number | Promise<number>;
  /** Write all of `data`; a gap before `offset` reads as zeros. */
  write(offset: number, data: Uint8Array): void | Promise<void>;
  /** Set the length of the file; a longer one is extended with zeros. */
  truncate(length: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/**
 * The files of OP-TEE's secure storage in the normal world ("REE FS"). Names are relative paths; a name that leaves the
 * file system is refused. Every write, creation, renaming and removal is durable when the call returns; secure storage
 * relies on that.
 *
 * Failures are TeecErrors: ITEM_NOT_FOUND, ACCESS_CONFLICT, STORAGE_NO_SPACE, STORAGE_NOT_AVAILABLE, BAD_PARAMETERS.
 * Errors of the operating system (`ENOSPC`) are converted to one of these; any other error counts as a bug.
 */
export interface ReeFileSystem {
  /** Open an existing file. */
  open(name: string): ReeFile | Promise<ReeFile>;
  /** Creates missing parent folders; truncates an existing file. */
  create(name: string): ReeFile | Promise<ReeFile>;
  /** Also removes parent folders that become empty. */
  remove(name: string): void | Promise<void>;
  /** Rename a file. Without `overwrite`, an existing `to` gives ACCESS_CONFLICT. */
  rename(from: string, to: string, overwrite: boolean): void | Promise<void>;
  /** The names in a folder. */
  list(name: string): readonly string[] | Promise<readonly string[]>;
  /**
   * A supplicant of this TEE starts to use the file system. Secure storage caches the state of its files in memory, so
   * only one TEE at a time may use them.
   * @returns ends the claim; called when the supplicant has left and its files are closed.
   * @throws TeecError BUSY if another TEE uses it, STORAGE_NOT_AVAILABLE if it is unusable.
   */
  claim?(tee: object): () => void;
}
