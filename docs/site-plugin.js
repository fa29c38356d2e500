/**
 * For TypeDoc: the text of all pages can be searched (`npm run docs` has Pagefind index them), pages are called by their first
 * heading, grouped as start, guides, concepts, reference, internals, and lead to the previous and the next; wide tables scroll, and
 * `<!-- playground: SCENARIO -->` becomes the playground with that scenario.
 */
import { Converter, JSX } from 'typedoc';

/** Pages by their paths; what is not here is reference. */
const groups = [
  [/^docs\/start/, 'Start'],
  [/guides\/|^docs\/(serve|boards)|^examples\//, 'Guides'],
  [/^docs\/(concepts|supplicant-and-clients)/, 'Concepts'],
  [/^(ARCHITECTURE|firmware|bench|linux)|^docs\/(findings|upstream|xtest|newcomer)/, 'Internals'],
  [/./, 'Reference'],
];

/** Pages that are read in this order within their group; the others follow the alphabet. */
const within = [
  'docs/start',
  'docs/guides/test-a-ta',
  'docs/guides/why-it-hangs',
  'docs/guides/faults',
  'docs/guides/choose-a-discipline',
];
/** Where each page stands. */
const order = new Map();

const playgroundMark = /<!-- playground: ([a-z0-9/-]+) -->/g;
const playground = (_, name) =>
  `<iframe class="playground" title="The playground with ${name}" loading="lazy" src="../playground/index.html?scenario=${name}"></iframe>`;

const style = `
  :root { --light-color-link: #0a4f94; }
  .tsd-typography a { text-decoration: underline; }
  .tsd-typography table { display: block; max-width: 100%; overflow-x: auto; }
  .tsd-typography td, .tsd-typography th { min-width: 6em; }
  .tsd-typography pre { max-width: 100%; overflow-x: auto; }
  iframe.playground { width: 100%; height: 46rem; border: 1px solid currentColor; }
  #text-search {
    --pagefind-ui-primary: var(--color-link);
    --pagefind-ui-text: var(--color-text);
    --pagefind-ui-background: var(--color-background);
    --pagefind-ui-border: var(--color-accent);
    --pagefind-ui-tag: var(--color-background-secondary);
    --pagefind-ui-scale: 0.8;
    --pagefind-ui-border-width: 1px;
    --pagefind-ui-font: inherit;
  }
  #text-search .pagefind-ui__search-input::placeholder { color: var(--color-text); opacity: 0.75; font-weight: normal; }
  nav.reading { display: flex; justify-content: space-between; gap: 1em; margin-top: 2em; }
`;

/** @param {import('typedoc').Application} application */
export function load(application) {
  application.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, page) => {
    const path = page.name;
    const heading = page.content
      .map(({ text }) => text)
      .join('')
      .match(/^# (.+)$/m)?.[1];
    if (heading !== undefined) page.name = heading.replaceAll('`', '');
    const place = groups.findIndex(([pattern]) => pattern.test(path));
    page.frontmatter.group = groups[place][1];
    order.set(page, place * 1000 + Math.max(0, within.indexOf(path)));
    for (const part of page.content) part.text = part.text.replace(playgroundMark, playground);
  });
  // The site prints the name of the project above its first page.
  application.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const [first] = project.readme ?? [];
    if (first !== undefined) first.text = first.text.replace(/^# .+\n+/, '');
  });
  application.renderer.hooks.on('head.end', () =>
    JSX.createElement('style', null, JSX.createElement(JSX.Raw, { html: style })),
  );
  application.renderer.hooks.on('content.end', (context) => {
    const pages = [...order.keys()].sort(
      (one, other) => order.get(one) - order.get(other) || one.name.localeCompare(other.name),
    );
    const at = pages.indexOf(context.page.model);
    if (at < 0) return JSX.createElement(JSX.Fragment, null);
    const link = (page, rel, words) =>
      page === undefined
        ? JSX.createElement('span', null)
        : JSX.createElement('a', { href: context.urlTo(page), rel }, `${words}: ${page.name}`);
    return JSX.createElement(
      'nav',
      { class: 'reading', 'aria-label': 'Reading order', 'data-pagefind-ignore': 'all' },
      link(pages[at - 1], 'prev', 'Previous'),
      link(pages[at + 1], 'next', 'Next'),
    );
  });
  application.renderer.hooks.on('content.begin', (context) => {
    const asset = (name) => context.relativeURL(`pagefind/${name}`);
    const start = `window.addEventListener('DOMContentLoaded', () => {
      const words = 'Search the text of all pages';
      if (window.PagefindUI && location.protocol !== 'file:')
        new PagefindUI({ element: '#text-search', showSubResults: true, showImages: false, translations: { placeholder: words } });
      const input = document.querySelector('#text-search input');
      input?.setAttribute('aria-label', words);
      // TypeDoc's own search knows only the names of the API.
      document.querySelector('#tsd-search-trigger')?.setAttribute('aria-label', 'Search the names of the API');
      document.querySelector('#tsd-search-input')?.setAttribute('placeholder', 'Search the names of the API');
      document.addEventListener('keydown', (event) => {
        if (event.key !== '/' || !input || /^(input|textarea|select)$/i.test(event.target.tagName)) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        input.focus();
      }, true);
      // What scrolls can be scrolled by keys.
      for (const table of document.querySelectorAll('.tsd-typography table')) table.tabIndex = 0;
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
