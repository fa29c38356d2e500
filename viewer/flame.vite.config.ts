import { join } from 'node:path';
import { defineConfig, mergeConfig } from 'vite';
import page from './vite.config.js';

/** The page of a profile, beside the page of a trace. */
export default mergeConfig(
  page,
  defineConfig({ build: { emptyOutDir: false, rollupOptions: { input: join(import.meta.dirname, 'flame.html') } } }),
);
