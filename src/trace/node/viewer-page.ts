import { gzipSync } from 'node:zlib';
import { readRegularFileSync } from '../../files/read-regular-file.js';

export interface NamedTrace {
  readonly name: string;
  /** The content of a `.nwt` file. */
  readonly bytes: Uint8Array;
}

/** The timeline page with embedded traces, as one self-contained HTML file. */
export function viewerPage(traces: readonly NamedTrace[]): string {
  return pageWith(
    'index.html',
    '<!-- traces -->',
    traces.map(({ name, bytes }) => dataElement('application/x-nwt', name, gzipSync(bytes))),
  );
}

/**
 * The page of a profile, a flame graph, as one self-contained HTML file.
 * @param folded call stacks with their costs, in the folded format.
 */
export function profilePage(name: string, folded: string): string {
  return pageWith('flame.html', '<!-- profile -->', [dataElement('text/x-folded', name, Buffer.from(folded))]);
}

function pageWith(file: string, place: string, elements: readonly string[]): string {
  const page = readRegularFileSync(new URL(`../../viewer/${file}`, import.meta.url)).toString();
  if (!page.includes(place)) throw new Error(`the page ${file} was built without a place for data`);
  // A function is used because `$` is special in a replacement string.
  return page.replace(place, () => elements.join('\n'));
}

/** Base64 cannot end the element. */
function dataElement(type: string, name: string, data: Buffer): string {
  return `<script type="${type}" data-name="${escapeAttribute(name)}">${data.toString('base64')}</script>`;
}

function escapeAttribute(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
