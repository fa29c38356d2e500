import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { closeDescriptor, receiveFile, sendWithFile, socketPair } from '../../src/serve/unix-socket.js';

/** Descriptors of this process for /dev/zero, which nothing else in it opens. */
const zeros = () =>
  readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === '/dev/zero';
    } catch {
      // The descriptor by which the folder was read.
      return false;
    }
  }).length;

it.each([2, 3, 8])('a byte that carries %d descriptors leaves none of them open', (count) => {
  const [ours, theirs] = socketPair();
  const sender = new Socket({ fd: theirs });
  const file = openSync('/dev/zero', 'r');
  try {
    const files = Array.from({ length: count }, () => file);
    for (let time = 0; time < 5; time++) {
      sendWithFile(sender, Buffer.from('x'), ...files);
      expect(receiveFile(ours)).toBe(-1);
    }
    expect(zeros()).toBe(1);
    sendWithFile(sender, Buffer.from('x'), file);
    const received = receiveFile(ours);
    expect(received).toBeGreaterThan(0);
    expect(zeros()).toBe(2);
    closeDescriptor(received ?? -1);
  } finally {
    closeSync(file);
    closeDescriptor(ours);
    sender.destroy();
  }
});
