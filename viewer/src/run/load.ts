import { readTrace } from '../../../src/trace/index.js';
import { Run } from './run.js';

/** The traces that `normalworld view` embedded in the page, as gzip in base64. */
export async function embeddedRuns(): Promise<Run[]> {
  const scripts = [...document.querySelectorAll<HTMLScriptElement>('script[type="application/x-nwt"]')];
  return Promise.all(
    scripts.map(async (script) => {
      const packed = await (await fetch(`data:application/gzip;base64,${script.textContent.trim()}`)).blob();
      const stream = packed.stream().pipeThrough(new DecompressionStream('gzip'));
      const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
      script.remove();
      return new Run(script.dataset.name ?? 'trace', readTrace(bytes));
    }),
  );
}

/**
 * Read trace files that the user chose.
 * @throws TraceFormatError
 */
export function runsOfFiles(files: readonly File[]): Promise<Run[]> {
  return Promise.all(
    files.map(async (file) => new Run(file.name, readTrace(new Uint8Array(await file.arrayBuffer())))),
  );
}
