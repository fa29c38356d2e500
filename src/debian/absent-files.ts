/** An archive lists a package but does not have its files: the mirror is incomplete or being updated. */
export class AbsentFilesError extends Error {
  constructor(
    what: string,
    readonly urls: readonly string[],
    cause?: unknown,
  ) {
    super(`the archive of Debian packages lists ${what}, but does not have it (404):\n${urls.join('\n')}`, { cause });
  }
}

/** The files that apt could not download because they do not exist. */
export function absentFiles(said: string): string[] {
  return [...said.matchAll(/^(?:apt-get: )?E: Failed to fetch (\S+)\s+404\b/gm)].flatMap(([, url]) => url ?? []);
}
