import type { ArchivePackage } from './archive.js';
import { compareVersions, type Stanza } from './control-file.js';

/** Packages by name, each in its newest version. */
export function newestOf(stanzas: Iterable<Stanza>): Map<string, Stanza> {
  const newest = new Map<string, Stanza>();
  for (const stanza of stanzas) {
    const name = stanza.get('package') ?? '';
    const known = newest.get(name)?.get('version');
    if (known === undefined || compareVersions(stanza.get('version') ?? '', known) > 0) newest.set(name, stanza);
  }
  return newest;
}

/** @throws Error naming the packages that were not found. */
export function described(
  names: readonly string[],
  found: ReadonlyMap<string, Stanza>,
  where: string,
): ArchivePackage[] {
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0) throw new Error(`Debian ${where} has no package ${missing.join(', ')}`);
  return names.map((name) => {
    const stanza = found.get(name);
    const number = (field: string) => Number(stanza?.get(field) ?? 0);
    return {
      name,
      version: stanza?.get('version') ?? '',
      size: number('size'),
      // Debian specifies Installed-Size in KiB.
      unpackedSize: number('installed-size') * 1024,
    };
  });
}

export function matching(names: readonly string[], pattern: RegExp): string[] {
  return names.filter((name) => pattern.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
