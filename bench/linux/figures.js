import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';
import { linuxConsole } from './boot.js';
import { prepareLinux } from './prepare.js';

const silenceLimitMs = 120_000;

/**
 * QEMU's arguments for a Linux guest that measures.
 * @param {(text: string) => void} say
 * @param {number} seconds duration of each measurement.
 * @param {string} [optee] an optee.ko in place of the kernel's own.
 */
export function prepareFigures(say, seconds, optee) {
  const guest = { init: 'client.c', words: [String(seconds)], files: new Map() };
  const trustedApplications = [opteeFolder().trustedApplications];
  return prepareLinux(say, { ...guest, trustedApplications, ...(optee === undefined ? {} : { optee }) });
}

/**
 * Boot Linux once and read the figures that its client prints.
 * @param {string[]} args from `prepareFigures`.
 * @returns {Promise<Record<string, number>>} rates per second and latencies in milliseconds, by key.
 */
export async function linuxFigures(args) {
  const start = performance.now();
  const figures = {};
  for await (const line of linuxConsole(args, silenceLimitMs)) {
    const [, key, value] = /^@(\w+) ?(.*)$/.exec(line) ?? [];
    if (key === 'done') break;
    // A key without a value is an event: record its time here.
    if (key !== undefined) figures[key] = value === '' ? performance.now() - start : Number(value);
  }
  return figures;
}
