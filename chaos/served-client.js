/** A client process of a served TEE, well-behaved or hostile: SOCKET UUID UUID SEED. Exit code 1 for a wrong result. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { uuidOctets } from '../dist/protocol/uuid.js';
import { Operation } from '../dist/serve/wire.js';
import { absurd, Draws } from './draws.js';

const [, , path, pseudo, user, seed] = process.argv;
const draws = new Draws(Number(seed));
const magic = 0x3254_574e;
const sum = 1;
const inout = 3;

async function open(bytes) {
  const socket = connect(path);
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

/** Read this many bytes; fewer if the server closes the connection. */
async function read(socket, length) {
  let bytes = Buffer.alloc(0);
  while (bytes.length < length) {
    const more = socket.read();
    if (more !== null) bytes = Buffer.concat([bytes, more]);
    else if (socket.readableEnded || socket.destroyed) break;
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  return bytes;
}

function request(operation, token, body) {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(magic, 0);
  head.writeUInt32LE(operation, 4);
  head.writeUInt32LE(body.length, 8);
  head.write(token.padStart(32, '0'), 16, 'hex');
  return Buffer.concat([head, body]);
}

async function ioctl(token, operation, body) {
  const socket = await open(request(operation, token, body));
  const head = await read(socket, 16);
  const length = head.length >= 16 ? head.readUInt32LE(8) : 0;
  const rest =
    head.length >= 16 + length
      ? head.subarray(16)
      : Buffer.concat([head.subarray(16), await read(socket, length - (head.length - 16))]);
  socket.destroy();
  return { status: head.length >= 16 ? head.readInt32LE(4) : -5, body: rest };
}

function invokeArg(session, command, words) {
  const bytes = Buffer.alloc(24 + 32 * (words.length > 0 ? 1 : 0));
  bytes.writeUInt32LE(command, 0);
  bytes.writeUInt32LE(session, 4);
  bytes.writeUInt32LE(words.length > 0 ? 1 : 0, 20);
  if (words.length > 0) {
    bytes.writeBigUInt64LE(BigInt(inout), 24);
    for (const [index, word] of words.entries()) bytes.writeBigUInt64LE(BigInt(word), 32 + 8 * index);
  }
  return bytes;
}

const device = await open(request(Operation.openDevice, '', Buffer.from('tee0')));
const greeting = await read(device, 64);
if (greeting.length < 64) throw new Error('no greeting');
const token = greeting.toString('hex', 16, 32);

async function openSession(uuid) {
  const body = Buffer.alloc(56);
  body.set(uuidOctets(uuid), 0);
  const { status, body: answer } = await ioctl(token, Operation.openSession, body);
  if (status < 0 || answer.readUInt32LE(44) !== 0) throw new Error(`a session does not open: ${status}`);
  return { id: answer.readUInt32LE(40), sum: 0 };
}

const sessions = [await openSession(pseudo), await openSession(user)];
const held = [];
for (let step = 0; step < 30; step++) {
  const session = draws.of(sessions);
  switch (draws.upTo(6)) {
    case 0: {
      // Shared memory that is kept until this process ends.
      const body = Buffer.alloc(16);
      body.writeBigUInt64LE(BigInt(draws.of([1, 4096, 4097, 1 << 20, ...absurd.filter((each) => each < 2 ** 53)])), 0);
      held.push(await open(request(Operation.shmAlloc, token, body)));
      if (held.length > 8) held.shift().destroy();
      break;
    }
    case 1:
      await ioctl(token, draws.upTo(16), Buffer.from(draws.bytes(draws.upTo(200))));
      break;
    case 2: {
      const bytes = Buffer.from(draws.bytes(draws.upTo(300)));
      if (bytes.length >= 4 && draws.chance(0.7)) bytes.writeUInt32LE(magic, 0);
      (await open(bytes)).destroySoon();
      break;
    }
    case 3:
      await ioctl(token, Operation.invoke, invokeArg(draws.of([0, 99_999, 2 ** 32 - 1]), sum, [1, 0, 0]));
      break;
    default: {
      const add = draws.upTo(2 ** 32);
      const { status, body } = await ioctl(token, Operation.invoke, invokeArg(session.id, sum, [add, 0, 0]));
      session.sum = (session.sum + add) >>> 0;
      const got = status < 0 || body.readUInt32LE(12) !== 0 ? undefined : Number(body.readBigUInt64LE(32));
      if (got !== session.sum) throw new Error(`the sum is ${got} (status ${status}), and ${session.sum} is right`);
    }
  }
}
process.exit(0);
