import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

export interface NamedTrace {
  readonly name: string;
  /** A `.nwt` file. */
  readonly bytes: Uint8Array;
}

/** Where the traces go in the page. */
const place = '<!-- traces -->';

/** The timeline page with traces in it: one self-contained HTML file. */
export function viewerPage(traces: readonly NamedTrace[]): string {
  const page = readFileSync(new URL('../../viewer/index.html', import.meta.url), 'utf8');
  const scripts = traces.map(
    ({ name, bytes }) =>
      `<script type="application/x-nwt" data-name="${escapeAttribute(name)}">${gzipSync(bytes).toString('base64')}</script>`,
  );
  if (!page.includes(place)) throw new Error('the timeline page was built without a place for traces');
  // A function: `$` in a replacement text would be special.
  return page.replace(place, () => scripts.join('\n'));
}

function escapeAttribute(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
