import page from '../../dist/viewer/index.html?raw';
import type { NamedTrace } from './messages.js';

/** Show the timeline page with traces in a frame. */
export async function showTimeline(frame: HTMLIFrameElement, traces: readonly NamedTrace[]): Promise<void> {
  const scripts = await Promise.all(
    traces.map(async ({ name, bytes }) => {
      const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
      const octets = new Uint8Array(await new Response(stream).arrayBuffer());
      let text = '';
      for (let at = 0; at < octets.length; at += 0x8000)
        text += String.fromCharCode(...octets.subarray(at, at + 0x8000));
      const safe = name.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
      return `<script type="application/x-nwt" data-name="${safe}">${btoa(text)}</script>`;
    }),
  );
  frame.srcdoc = page.replace('<!-- traces -->', () => scripts.join('\n'));
}
