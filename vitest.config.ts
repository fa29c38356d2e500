import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default'],
    // Tests never wait for wall-clock time; the limit only ends a test that hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most tests wait for processes of their own: one file for each processor, and not one less.
    maxWorkers: '100%',
  },
});
