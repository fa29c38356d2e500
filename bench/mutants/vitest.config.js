import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Runs the tests with one source file replaced: see run.js. */
const { MUTANT_FILE, MUTANT_SOURCE } = process.env;

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  plugins: [
    {
      name: 'mutant',
      enforce: 'pre',
      load: (id) => (id === MUTANT_FILE ? MUTANT_SOURCE : undefined),
    },
  ],
});
