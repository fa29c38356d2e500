/** An archive lists a package and does not have its files: an incomplete mirror, or one that is being renewed. */
export class AbsentFilesError extends Error {
  constructor(
    what: string,
    readonly urls: readonly string[],
    cause?: unknown,
  ) {
    super(`the archive of Debian packages lists ${what}, but does not have it (404):\n${urls.join('\n')}`, { cause });
  }
}

/** The files that apt could not get because they are not there. */
export function absentFiles(said: string): string[] {
  return [...said.matchAll(/^(?:apt-get: )?E: Failed to fetch (\S+)\s+404\b/gm)].flatMap(([, url]) => url ?? []);
}
