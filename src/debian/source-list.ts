import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';

/** A source of Debian packages, as a source list of apt has it. */
export interface DebianSource {
  /** Where the archive is, without the suite. */
  readonly uris: string;
  /** Files of keys, or a key itself, that its releases are signed with; undefined when the list does not say. */
  readonly signedBy: string | undefined;
}

/**
 * Suites that are whole distributions of Debian's. Updates, security and backports hold only some packages; what vendors
 * call their suites is none of these, except that some call theirs like Debian's.
 */
const wholeSuite = /^(?:sid|unstable|testing|stable|oldstable|buster|bullseye|bookworm|trixie|forky|duke)$/;

/** Every source of whole suites in a list in deb822 form (`/etc/apt/sources.list.d/*.sources`). */
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

/** The same of a list with a line a source (`/etc/apt/sources.list`). */
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

/** How sure it is that a source is Debian's own archive or a mirror of it: others use the names of its suites, too. */
function likeness({ uris, signedBy }: DebianSource): number {
  if (signedBy !== undefined && /debian-archive[\w.-]*$/.test(signedBy.trim())) return 3;
  const isDebian = /\/debian\/?$/.test(uris);
  if (signedBy === undefined) return isDebian ? 2 : 1;
  // With a key of its own: a mirror that signs, or somebody else's packages.
  return isDebian ? 1 : 0;
}

/** Debian's own among the sources of a machine, other vendors' left out; undefined when there is none. */
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
