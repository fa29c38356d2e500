/** The newest version of a package in an archive. */
export interface ArchivePackage {
  readonly name: string;
  readonly version: string;
  /** Size of its file, in bytes. */
  readonly size: number;
  /** Size after unpacking, in bytes. */
  readonly unpackedSize: number;
}

/** A suite of Debian's archive with a verified signature. Downloads are verified against the hashes of the suite. */
export interface Archive extends AsyncDisposable {
  /** @throws Error naming the packages that do not exist. */
  describe(names: readonly string[]): Promise<ArchivePackage[]>;
  /** Names that match, sorted by the numbers in them. */
  search(pattern: RegExp): Promise<string[]>;
  /** Download packages into a folder. @returns the paths, in order. */
  download(names: readonly string[], into: string): Promise<string[]>;
  /**
   * Download a source package into a folder.
   * @returns the path of its .dsc file. @throws AbsentFilesError if some of its files do not exist.
   */
  downloadSource(name: string, into: string): Promise<string>;
}

export type PackageArchitecture = 'arm64' | 'amd64';
