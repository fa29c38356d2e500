/**
 * For TypeDoc: pages are called by their first heading and grouped as start, guides, concepts, reference, internals.
 */
import { Converter } from 'typedoc';

/** Pages by their paths; what is not here is reference. */
const groups = [
  [/^docs\/start/, 'Start'],
  [/guides\/|^docs\/serve|^examples\//, 'Guides'],
  [/^docs\/(concepts|supplicant-and-clients)/, 'Concepts'],
  [/^(ARCHITECTURE|firmware|bench)|^docs\/(findings|xtest|newcomer)/, 'Internals'],
  [/./, 'Reference'],
];

/** @param {import('typedoc').Application} application */
export function load(application) {
  application.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, page) => {
    const path = page.name;
    const heading = page.content
      .map(({ text }) => text)
      .join('')
      .match(/^# (.+)$/m)?.[1];
    if (heading !== undefined) page.name = heading.replaceAll('`', '');
    page.frontmatter.group = groups.find(([pattern]) => pattern.test(path))[1];
  });
}
