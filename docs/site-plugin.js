/**
 * For TypeDoc: pages are called by their first heading and grouped as start, guides, concepts, reference, internals.
 */
import { Converter } from 'typedoc';

const groups = {
  start: 'Start',
  concepts: 'Concepts',
  findings: 'Internals',
  ARCHITECTURE: 'Internals',
  'trace-format': 'Reference',
  scenarios: 'Reference',
  explore: 'Reference',
  errors: 'Reference',
};

/** @param {import('typedoc').Application} application */
export function load(application) {
  application.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, page) => {
    const path = page.name;
    const heading = page.content
      .map(({ text }) => text)
      .join('')
      .match(/^# (.+)$/m)?.[1];
    if (heading !== undefined) page.name = heading.replaceAll('`', '');
    const name = path.split('/').at(-1);
    page.frontmatter.group = path.includes('guides/') ? 'Guides' : (groups[name] ?? 'Concepts');
  });
}
