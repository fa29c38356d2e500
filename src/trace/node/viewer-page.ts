import { gzipSync } from 'node:zlib';
import { readRegularFileSync } from '../../files/read-regular-file.js';

export interface NamedTrace {
  readonly name: string;
  /** The content of a `.nwt` file. */
  readonly bytes: Uint8Array;
}

/** The place for the traces in the page. */
const place = '<!-- traces -->';

/** The timeline page with embedded traces, as one self-contained HTML file. */
export function viewerPage(traces: readonly NamedTrace[]): string {
  const page = readRegularFileSync(new URL('../../viewer/index.html', import.meta.url)).toString();
  const scripts = traces.map(
    ({ name, bytes }) =>
      `<script type="application/x-nwt" data-name="${escapeAttribute(name)}">${gzipSync(bytes).toString('base64')}</script>`,
  );
  if (!page.includes(place)) throw new Error('the timeline page was built without a place for traces');
  // A function is used because `$` is special in a replacement string.
  return page.replace(place, () => scripts.join('\n'));
}

function escapeAttribute(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
