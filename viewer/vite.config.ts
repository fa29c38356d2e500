import { defineConfig } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

/** The page as one file: it can be mailed, and opened from a disk. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [viteSingleFile()],
  build: { outDir: '../dist/viewer', emptyOutDir: true, target: 'es2022', reportCompressedSize: false },
  logLevel: 'warn',
});
