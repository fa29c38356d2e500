import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** The peer of sockets: echoes all data, and disconnects at random. */
export async function echoServer(draws) {
  const open = new Set();
  const tcp = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
    socket.on('data', (bytes) => {
      const fate = draws.upTo(10);
      if (fate === 0) socket.resetAndDestroy();
      else if (fate === 1) socket.end();
      else socket.write(bytes);
    });
    socket.on('end', () => socket.end());
  }).listen(0, '127.0.0.1');
  const udp = createSocket('udp4').on('error', () => {});
  udp.on('message', (bytes, { port, address }) => {
    if (draws.chance(0.9)) udp.send(bytes, port, address, () => {});
  });
  udp.bind(0, '127.0.0.1');
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  return {
    tcpPort: tcp.address().port,
    udpPort: udp.address().port,
    async close() {
      for (const socket of open) socket.destroy();
      await Promise.all([new Promise((done) => tcp.close(done)), new Promise((done) => udp.close(done))]);
    },
  };
}
