/** The explorer looks at how much memory it has taken; a browser does not say, and ends a page that takes too much. */
Object.assign(globalThis, { process: { memoryUsage: { rss: () => 0 } } });
