/**
 * Prefixes that loggers, terminal programs and mail programs add to a kernel line. They are removed one after the
 * other.
 */
const prefixes: readonly RegExp[] = [
  // `> ` in a mail.
  /^\s*(?:>\s?)+/,
  // `<4>` in the kernel log, `<6>` in pstore.
  /^\s*<\d{1,3}>/,
  // `[  240.110000]` from the kernel, followed by `[  T301]` with CONFIG_PRINTK_CALLER.
  /^\s*\[\s*(?<seconds>\d{1,10})\.(?<fraction>\d{1,9})\](?:\s*\[\s*(?:T(?<caller>\d{1,10})|C\d+)\s*\])?:?/,
  // `[Mon Oct 12 10:00:01 2026]`, `[2026-10-12 10:00:01.123]`, `[57.900001 0.000012]`: dmesg -T, terminal programs,
  // grabserial.
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

/** Number of characters of a line that are searched for prefixes. */
const longestPrefix = 240;
/** Largest number of prefixes of a line. */
const mostPrefixes = 8;

export interface Unprefixed {
  readonly text: string;
  /** The kernel's time stamp among the prefixes, in milliseconds. */
  readonly time: number | undefined;
  /** The number of the task that printed the line, if the kernel says so. */
  readonly caller: number | undefined;
}

/** A line without its prefixes. */
export function withoutPrefix(line: string): Unprefixed {
  let at = 0;
  let time: number | undefined;
  let task: number | undefined;
  for (let count = 0; count < mostPrefixes; count++) {
    const head = line.slice(at, at + longestPrefix);
    const match = prefixes.map((prefix) => prefix.exec(head)).find((found) => found !== null && found[0] !== '');
    if (match === undefined || match === null) break;
    const { seconds, fraction, caller } = match.groups ?? {};
    if (caller !== undefined) task = Number(caller);
    if (seconds !== undefined) time = Number(seconds) * 1000 + Number(`0.${fraction}`) * 1000;
    at += match[0].length;
  }
  return { text: line.slice(at), time, caller: task };
}
