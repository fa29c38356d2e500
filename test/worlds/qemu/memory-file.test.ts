import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ftruncateSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { MemoryFile } from '../../../src/worlds/qemu/memory-file.js';

it('a memory file keeps its size, even if others have it open', () => {
  using file = MemoryFile.create('test', 8192);
  const bytes = new Uint8Array(file.view(0, 8192)).fill(7);
  expect(() => ftruncateSync(file.fd, 0)).toThrow('EPERM');
  expect(() => ftruncateSync(file.fd, 4096)).toThrow('EPERM');
  expect(() => ftruncateSync(file.fd, 1 << 20)).toThrow('EPERM');
  expect(bytes.every((byte) => byte === 7)).toBe(true);
});

it('a memory file with a punched hole has zeros there, and its full size', () => {
  using file = MemoryFile.create('test', 8192);
  const bytes = new Uint8Array(file.view(0, 8192)).fill(7);
  const path = `/proc/${process.pid}/fd/${file.fd}`;
  expect(spawnSync('fallocate', ['--punch-hole', '-o', '0', '-l', '4096', path]).status).toBe(0);
  expect([bytes[0], bytes[4095], bytes[4096], bytes[8191]]).toEqual([0, 0, 7, 7]);
  expect(spawnSync('fallocate', ['--collapse-range', '-o', '0', '-l', '4096', path]).status).not.toBe(0);
  bytes.fill(1);
});

it('a memory file is closed without a warning in a worker', async () => {
  const built = new URL('../../../dist/worlds/qemu/memory-file.js', import.meta.url).href;
  const code = `import('${built}').then(({ MemoryFile }) => MemoryFile.create('test', 4096)[Symbol.dispose]())`;
  const worker = new Worker(code, { eval: true, stderr: true });
  let said = '';
  worker.stderr.on('data', (text) => {
    said += text;
  });
  expect(await once(worker, 'exit')).toEqual([0]);
  expect(said).toBe('');
});
