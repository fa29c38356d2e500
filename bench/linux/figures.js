import { linuxSays } from './boot.js';

/**
 * Boot Linux once and take what its client measures.
 * @param {string[]} args QEMU's, from `prepareLinux`.
 * @returns {Promise<Record<string, number>>} rates per second and latencies in milliseconds, by key.
 */
export async function linuxFigures(args) {
  const start = performance.now();
  const figures = {};
  // What happened rather than what was measured: the time is taken here.
  for await (const { key, value } of linuxSays(args))
    figures[key] = value === '' ? performance.now() - start : Number(value);
  return figures;
}
