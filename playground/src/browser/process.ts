/**
 * The explorer checks its memory use with `process.memoryUsage`. Browsers have no such function; they end a page that
 * uses too much.
 */
Object.assign(globalThis, { process: { memoryUsage: { rss: () => 0 } } });
