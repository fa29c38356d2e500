// Writes to the card of a file under a limit of the file's size: blocks 500 and 501. Says each result, the counter after it and block 500.
import { EmmcFile, hmacSha256 } from '../../dist/rpmb/index.js';

const key = new Uint8Array(32).fill(7);
const [path] = process.argv.slice(2);
const card = EmmcFile.open(path, { key });

function request(type, address, counter) {
  const frame = new Uint8Array(512);
  const view = new DataView(frame.buffer);
  frame.fill(9, 228, 484);
  view.setUint32(500, counter);
  view.setUint16(504, address);
  view.setUint16(506, 1);
  view.setUint16(510, type);
  frame.set(hmacSha256(key, [frame.subarray(228, 512)]), 196);
  const answer = card.exchange(frame, 512);
  return { result: new DataView(answer.buffer, answer.byteOffset).getUint16(508), data: answer[228] };
}

const results = [500, 501].map((address) => {
  let result;
  try {
    ({ result } = request(3, address, card.writeCounter));
  } catch (error) {
    result = error.code;
  }
  return `${result} ${card.writeCounter} ${request(4, 500, 0).data}`;
});
console.log(results.join('; '));
