/** A package of an archive, of its newest version there. */
export interface ArchivePackage {
  readonly name: string;
  readonly version: string;
  /** Of its file, in bytes. */
  readonly size: number;
  /** What it takes when it is unpacked, in bytes. */
  readonly unpackedSize: number;
}

/** One suite of Debian's archive, whose signature was checked. What is downloaded has the hash that the suite says. */
export interface Archive extends AsyncDisposable {
  /** @throws Error naming the packages that there are none of. */
  describe(names: readonly string[]): Promise<ArchivePackage[]>;
  /** Names that match, in the order of their numbers. */
  search(pattern: RegExp): Promise<string[]>;
  /** Download the files of packages into a folder. @returns their paths, in order. */
  download(names: readonly string[], into: string): Promise<string[]>;
  /**
   * Download a source package into a folder.
   * @returns the path of its description (.dsc). @throws AbsentFilesError when files of it are not there.
   */
  downloadSource(name: string, into: string): Promise<string>;
}

export type PackageArchitecture = 'arm64' | 'amd64';
