/** What loggers, terminals and mails put ahead of a line of the kernel: taken away one after the other. */
const prefixes: readonly RegExp[] = [
  // `> ` of a mail.
  /^\s*(?:>\s?)+/,
  // `<4>` of the kernel's log, `<6>` of pstore.
  /^\s*<\d{1,3}>/,
  // `[  240.110000]` of the kernel, with `[  T301]` of CONFIG_PRINTK_CALLER behind it.
  /^\s*\[\s*(?<seconds>\d{1,10})\.(?<fraction>\d{1,9})\](?:\s*\[\s*[TC]\d+\s*\])?:?/,
  // `[Mon Oct 12 10:00:01 2026]`, `[2026-10-12 10:00:01.123]`, `[57.900001 0.000012]`: dmesg -T, terminal programs, grabserial.
  /^\s*\[[^\]]{0,40}\d[:.]\d[^\]]{0,40}\]/,
  // `Oct 12 10:00:01`, `2026-10-12T10:00:01.123456+00:00`, `10-12 10:00:01.123  0  0 I`, `10:00:01.123`.
  /^\s*[A-Z][a-z]{2}\s+\d{1,2}\s+\d\d:\d\d:\d\d(?:\.\d+)?/,
  /^\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20}/,
  /^\s*\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\d+\s+\d+ [VDIWEF]\b/,
  /^\s*\d\d:\d\d:\d\d(?:\.\d+)?\s/,
  // `board kernel:`, `kern  :info  :`, `board tag[12]:`.
  /^\s*(?:[\w.-]{1,64}\s+)?kernel\s?:/,
  /^\s*kern\s*:\s*\w+\s*:/,
  /^\s*(?:[\w.-]{1,64}\s+)?[\w.-]{1,64}\[\d+\]:/,
];

/** So many characters of a line are looked at for prefixes. */
const longestPrefix = 240;
/** A line has at most so many, one behind the other. */
const mostPrefixes = 8;

export interface Unprefixed {
  readonly text: string;
  /** The kernel's own time stamp among the prefixes, milliseconds. */
  readonly time: number | undefined;
}

/** A line without what a logger put ahead of it. */
export function withoutPrefix(line: string): Unprefixed {
  let at = 0;
  let time: number | undefined;
  for (let count = 0; count < mostPrefixes; count++) {
    const head = line.slice(at, at + longestPrefix);
    const match = prefixes.map((prefix) => prefix.exec(head)).find((found) => found !== null && found[0] !== '');
    if (match === undefined || match === null) break;
    const { seconds, fraction } = match.groups ?? {};
    if (seconds !== undefined) time = Number(seconds) * 1000 + Number(`0.${fraction}`) * 1000;
    at += match[0].length;
  }
  return { text: line.slice(at), time };
}
