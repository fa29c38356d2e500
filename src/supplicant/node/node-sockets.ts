import type { ReeSockets } from '../socket-service.js';
import { TcpSocket } from './tcp-socket.js';
import { UdpSocket } from './udp-socket.js';

/** Sockets of this machine's network. */
export const nodeSockets: ReeSockets = {
  open: (address) => (address.protocol === 'tcp' ? TcpSocket.open(address) : UdpSocket.open(address)),
};
