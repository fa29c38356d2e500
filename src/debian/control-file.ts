/** Fields of a stanza by lower-case name; multi-line fields include their line ends. */
export type Stanza = ReadonlyMap<string, string>;

/** The stanzas of a Debian control file (deb-control(5)): Packages, Sources, Release. */
export function* stanzas(text: string): Generator<Stanza> {
  let fields = new Map<string, string>();
  let name = '';
  for (const line of text.split('\n')) {
    if (line === '') {
      if (fields.size > 0) yield fields;
      fields = new Map();
      continue;
    }
    if (line.startsWith(' ') || line.startsWith('\t')) {
      fields.set(name, `${fields.get(name) ?? ''}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    name = line.slice(0, colon).toLowerCase();
    fields.set(name, line.slice(colon + 1).trim());
  }
  if (fields.size > 0) yield fields;
}

export interface ListedFile {
  readonly sha256: string;
  readonly size: number;
  readonly name: string;
}

/** The files in a checksum field: one `sha256 size name` per line. */
export function listedFiles(field: string): ListedFile[] {
  return field.split('\n').flatMap((line) => {
    const [sha256, size, name] = line.trim().split(/\s+/);
    if (sha256 === undefined || name === undefined || !/^[0-9a-f]{64}$/.test(sha256)) return [];
    return [{ sha256, size: Number(size), name }];
  });
}

/** Compare versions as in deb-version(7); negative if a is older. */
export function compareVersions(a: string, b: string): number {
  const [ea, ua, ra] = parts(a);
  const [eb, ub, rb] = parts(b);
  return ea - eb || compareParts(ua, ub) || compareParts(ra, rb);
}

function parts(version: string): [epoch: number, upstream: string, revision: string] {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return [
    colon < 0 ? 0 : Number(version.slice(0, colon)),
    dash < 0 ? rest : rest.slice(0, dash),
    dash < 0 ? '0' : rest.slice(dash + 1),
  ];
}

function compareParts(a: string, b: string): number {
  let [x, y] = [a, b];
  while (x !== '' || y !== '') {
    const [textX = ''] = /^\D*/.exec(x) ?? [];
    const [textY = ''] = /^\D*/.exec(y) ?? [];
    for (let at = 0; at < Math.max(textX.length, textY.length); at++) {
      const difference = weight(textX[at]) - weight(textY[at]);
      if (difference !== 0) return difference;
    }
    [x, y] = [x.slice(textX.length), y.slice(textY.length)];
    const [digitsX = ''] = /^\d*/.exec(x) ?? [];
    const [digitsY = ''] = /^\d*/.exec(y) ?? [];
    const difference = BigInt(digitsX || '0') - BigInt(digitsY || '0');
    if (difference !== 0n) return difference < 0n ? -1 : 1;
    [x, y] = [x.slice(digitsX.length), y.slice(digitsY.length)];
  }
  return 0;
}

/** A tilde sorts before the end of the string, letters before other characters. */
function weight(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === '~') return -1;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}
