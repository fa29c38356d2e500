import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('threads.js', import.meta.url));

/** The threads are started from what is built. */
describe.each([
  ['sleep at once', 0],
  ['spin before they sleep', 500],
  ['hardly ever sleep', 5_000],
])('threads for calls that block, which %s', (_how, spinMicroseconds) => {
  it.each([
    ['let the event loop turn while calls follow each other', 'turns'],
    ['lose no call, whatever the thread is about to do', 'meets'],
    ['lose none of many calls at a time', 'crowds'],
    ['refuse what no thread has taken when they end', 'ends'],
  ])('%s', async (_name, which) => {
    const child = spawn(process.execPath, [program, which, `${spinMicroseconds}`], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code] = await once(child, 'close');
    expect([code, said]).toEqual([0, '']);
  });
});
