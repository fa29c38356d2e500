import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';

/** A source of Debian packages in apt's configuration. */
export interface DebianSource {
  /** URL of the archive, without the suite. */
  readonly uris: string;
  /** Key files, or an embedded key, for its releases; undefined if not specified. */
  readonly signedBy: string | undefined;
}

/**
 * Names of suites that are complete Debian distributions. Updates, security and backports contain only some packages.
 * Other vendors use other names, with exceptions.
 */
const wholeSuite = /^(?:sid|unstable|testing|stable|oldstable|buster|bullseye|bookworm|trixie|forky|duke)$/;

/** All sources of complete suites in a deb822 file (`/etc/apt/sources.list.d/*.sources`). */
export function sourcesOfStanzas(text: string): DebianSource[] {
  const sources: DebianSource[] = [];
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let name = '';
    for (const line of stanza.split('\n')) {
      const field = /^([\w-]+):\s*(.*)$/.exec(line);
      if (field !== null) {
        name = (field[1] ?? '').toLowerCase();
        fields.set(name, field[2] ?? '');
      } else if (/^\s/.test(line)) {
        fields.set(name, `${fields.get(name) ?? ''}\n${line}`);
      }
    }
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    const [uris = ''] = words('uris');
    if (
      uris !== '' &&
      fields.get('enabled') !== 'no' &&
      words('types').includes('deb') &&
      words('suites').some((suite) => wholeSuite.test(suite)) &&
      words('components').includes('main')
    )
      sources.push({ uris, signedBy: fields.get('signed-by') });
  }
  return sources;
}

/** The same for a file with one source per line (`/etc/apt/sources.list`). */
export function sourcesOfLines(text: string): DebianSource[] {
  return text.split('\n').flatMap((line) => {
    const found = /^deb\s+(?:\[(?<options>[^\]]*)\]\s+)?(?<uri>\S+)\s+(?<suite>\S+)\s+(?<components>.*)$/.exec(
      line.trim(),
    );
    const { options = '', uri = '', suite = '', components = '' } = found?.groups ?? {};
    if (uri === '' || !wholeSuite.test(suite) || !components.split(/\s+/).includes('main')) return [];
    return [{ uris: uri, signedBy: /signed-by=(\S+)/.exec(options)?.[1] }];
  });
}

/** A score for how likely a source is Debian's archive or a mirror, because other archives use the same suite names. */
function likeness({ uris, signedBy }: DebianSource): number {
  if (signedBy !== undefined && /debian-archive[\w.-]*$/.test(signedBy.trim())) return 3;
  const isDebian = /\/debian\/?$/.test(uris);
  if (signedBy === undefined) return isDebian ? 2 : 1;
  // With a key of its own, it may be a mirror or another vendor's archive.
  return isDebian ? 1 : 0;
}

/** Debian's archive among the machine's sources; undefined if there is none. */
export async function sourceOfLists(apt: string): Promise<DebianSource | undefined> {
  const folder = join(apt, 'sources.list.d');
  const names = (await readdir(folder).catch(() => [])).sort();
  const sources: DebianSource[] = [];
  for (const name of ['../sources.list', ...names]) {
    const text = await readRegularText(join(folder, name)).catch(() => '');
    if (name.endsWith('.sources')) sources.push(...sourcesOfStanzas(text));
    else if (name.endsWith('.list')) sources.push(...sourcesOfLines(text));
  }
  let best: DebianSource | undefined;
  for (const source of sources) if (likeness(source) > (best === undefined ? 0 : likeness(best))) best = source;
  return best;
}
