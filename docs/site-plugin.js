/**
 * For TypeDoc: the text of all pages can be searched (`npm run docs` has Pagefind index them), pages are called by their first heading and grouped as start, guides, concepts, reference, internals.
 */
import { Converter, JSX } from 'typedoc';

/** Pages by their paths; what is not here is reference. */
const groups = [
  [/^docs\/start/, 'Start'],
  [/guides\/|^docs\/serve|^examples\//, 'Guides'],
  [/^docs\/(concepts|supplicant-and-clients)/, 'Concepts'],
  [/^(ARCHITECTURE|firmware|bench|linux)|^docs\/(findings|upstream|xtest|newcomer)/, 'Internals'],
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
  application.renderer.hooks.on('content.begin', (context) => {
    const asset = (name) => context.relativeURL(`pagefind/${name}`);
    const start = `window.addEventListener('DOMContentLoaded', () => {
      if (window.PagefindUI) new PagefindUI({ element: '#text-search', showSubResults: true, showImages: false });
    });`;
    return JSX.createElement(
      JSX.Fragment,
      null,
      JSX.createElement('link', { rel: 'stylesheet', href: asset('pagefind-ui.css') }),
      JSX.createElement('script', { src: asset('pagefind-ui.js') }),
      JSX.createElement('div', { id: 'text-search', 'data-pagefind-ignore': 'all' }),
      JSX.createElement('script', null, JSX.createElement(JSX.Raw, { html: start })),
    );
  });
}
