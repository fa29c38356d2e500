import { spawn, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';

const command = [resolve(import.meta.dirname, '../../dist/cli/main.js'), 'optee', 'symbolize'];

it('copies a text line by line, without carriage returns, and with no line feed added at the end', () => {
  const text = 'one\r\n\ntwo\n0x00000000 ends without';
  const { stdout, stderr, status } = spawnSync(process.execPath, command, { input: text, encoding: 'utf8' });
  expect({ stdout, stderr, status }).toEqual({
    stdout: text.replace('\r', ''),
    stderr: 'normalworld: the input has no call stack\n',
    status: 1,
  });
});

it('passes a line without end on while it comes', async () => {
  const child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = new Promise((end) => child.once('close', end));
  let passed = 0;
  const most = 100 << 20;
  // What is written is not kept: the line arrives while it has no end.
  const piece = Buffer.alloc(1 << 20, 'x');
  const reading = (async () => {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      passed += chunk.length;
      if (passed >= most) return;
    }
  })();
  const feed = () => {
    while (child.stdin.write(piece));
  };
  child.stdin.on('drain', feed).on('error', () => undefined);
  feed();
  await reading;
  child.kill('SIGKILL');
  await ended;
  expect(passed).toBeGreaterThanOrEqual(most);
});
