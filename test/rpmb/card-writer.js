// Writes to the card of a file for ever: block 5 and 6 hold the counter before the write. Says each counter after it.
import { EmmcFile, hmacSha256 } from '../../dist/rpmb/index.js';

const key = new Uint8Array(32).fill(7);
const [path] = process.argv.slice(2);
const card = EmmcFile.open(path, { key });
for (;;) {
  const counter = card.writeCounter;
  const frames = new Uint8Array(1024);
  const view = new DataView(frames.buffer);
  for (const at of [0, 512]) {
    frames.fill(counter & 0xff, at + 228, at + 484);
    view.setUint32(at + 500, counter);
    view.setUint16(at + 504, 5);
    view.setUint16(at + 506, 2);
    view.setUint16(at + 510, 3);
  }
  frames.set(hmacSha256(key, [frames.subarray(228, 512), frames.subarray(740, 1024)]), 512 + 196);
  const answer = card.exchange(frames, 512);
  if (new DataView(answer.buffer, answer.byteOffset).getUint16(508) !== 0) throw new Error('refused');
  process.stdout.write(`${card.writeCounter}\n`);
}
