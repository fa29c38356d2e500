import { resolve } from 'node:path';
import { defineConfig } from 'vite';

const inBrowser = (file: string) => resolve(import.meta.dirname, `src/browser/${file}`);

/** One static site: any server of files can host it, in any folder. */
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: {
    alias: {
      'node:worker_threads': inBrowser('worker-threads.ts'),
      'node:crypto': inBrowser('crypto.ts'),
    },
  },
  worker: { format: 'es' },
  build: {
    outDir: '../dist/playground',
    emptyOutDir: true,
    chunkSizeWarningLimit: 1000,
    target: 'es2022',
    reportCompressedSize: false,
  },
  logLevel: 'warn',
});
