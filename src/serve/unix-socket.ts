import type { Socket } from 'node:net';
import koffi from 'koffi';
import { socketDescriptor } from '../supplicant/node/socket-descriptor.js';
import type { ClientIdentity } from '../tee/login.js';
import { ErrnoError } from './errno.js';

/**
 * What Node cannot ask of a Unix socket, or do with it: who is on the other side, and giving it an open file.
 * Values are Linux's (asm-generic/socket.h, linux/socket.h).
 */
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SO_PEERGROUPS = 59;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
const MSG_DONTWAIT_CMSG_CLOEXEC = 0x40 | 0x4000_0000;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
/** NGROUPS_MAX. */
const maxGroups = 65_536;

const loadCalls = () => {
  const libc = koffi.load(null);
  koffi.struct('normalworld_iovec', { base: 'void *', length: 'size_t' });
  koffi.struct('normalworld_msghdr', {
    name: 'void *',
    nameLength: 'uint32_t',
    iov: 'normalworld_iovec *',
    iovLength: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  });
  return {
    getsockopt: libc.func(
      'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)',
    ) as (fd: number, level: number, name: number, value: Buffer, length: number[]) => number,
    close: libc.func('int close(int fd)'),
    socketpair: libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *pair)') as (
      domain: number,
      type: number,
      protocol: number,
      pair: number[],
    ) => number,
    recvmsg: libc.func('int64_t recvmsg(int fd, const normalworld_msghdr *message, int flags)'),
    sendmsg: libc.func('int64_t sendmsg(int fd, const normalworld_msghdr *message, int flags)'),
  };
};
let loaded: ReturnType<typeof loadCalls> | undefined;
const calls = () => {
  loaded ??= loadCalls();
  return loaded;
};

/** A process that connected. */
export interface Peer {
  readonly pid: number;
  /** Effective user and group, and supplementary groups, of the moment when it connected. */
  readonly identity: ClientIdentity;
}

/** Who connected: the kernel's word, not the client's. */
export function peerOf(socket: Socket): Peer {
  const { pid, uid, gid } = credentialsOf(socket);
  const groups = option(socketDescriptor(socket), SO_PEERGROUPS, 4 * maxGroups);
  return {
    pid,
    identity: {
      uid,
      gid,
      groups: Array.from({ length: groups.length / 4 }, (_, index) => groups.readUInt32LE(4 * index)),
    },
  };
}

/** Likewise, without the supplementary groups: struct ucred. */
export function credentialsOf(socket: Socket): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const credentials = option(socketDescriptor(socket), SO_PEERCRED, 12);
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4), gid: credentials.readUInt32LE(8) };
}

/** Room for the longest option, the groups: every connection asks for them, and few processes have many. */
const optionRoom = Buffer.alloc(4 * maxGroups);

function option(fd: number, name: number, size: number): Buffer {
  const length = [size];
  if (calls().getsockopt(fd, SOL_SOCKET, name, optionRoom, length) !== 0)
    throw new Error(`getsockopt(${name}) failed: errno ${koffi.errno()}`);
  return Buffer.from(optionRoom.subarray(0, length[0] ?? 0));
}

/**
 * Send the first bytes on a connection, and an open file with them.
 * @param bytes few: they go at once, as nothing was sent before.
 * @throws ErrnoError when they do not: EPIPE when the other side has gone, ETOOMANYREFS when so many open files are on
 *   their way that the kernel takes no more.
 */
export function sendWithFile(socket: Socket, bytes: Buffer, file: number): void {
  const control = Buffer.alloc(controlSize);
  // struct cmsghdr: its length with what follows, level, type, and the descriptor.
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(file, 16);
  const message = messageOf(bytes, control);
  const sent = Number(calls().sendmsg(socketDescriptor(socket), message, MSG_DONTWAIT_NOSIGNAL));
  if (sent !== bytes.length) throw new ErrnoError(koffi.errno(), 'sending an open file');
}

/** Two sockets that are connected to each other. @throws ErrnoError EMFILE, ENFILE */
export function socketPair(): [number, number] {
  const pair = [-1, -1];
  if (calls().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) !== 0)
    throw new ErrnoError(koffi.errno(), 'making a pair of sockets');
  return pair as [number, number];
}

/**
 * The next open file that was sent on a socket, one with each byte.
 * @returns its descriptor; -1 for a byte without one; undefined when there is no byte.
 */
export function receiveFile(fd: number): number | undefined {
  const control = Buffer.alloc(controlSize);
  const got = Number(calls().recvmsg(fd, messageOf(Buffer.alloc(1), control), MSG_DONTWAIT_CMSG_CLOEXEC));
  if (got <= 0) return undefined;
  const isFile = control.readBigUInt64LE(0) === 20n && control.readInt32LE(12) === SCM_RIGHTS;
  return isFile ? control.readInt32LE(16) : -1;
}

/** Whether a descriptor that somebody sent is a connection by which requests can come. */
export function isStreamOfUnixSocket(fd: number): boolean {
  try {
    const is = (name: number, wanted: number) => option(fd, name, 4).readInt32LE(0) === wanted;
    // One that was never connected knows no peer.
    return (
      is(SO_DOMAIN, AF_UNIX) &&
      is(SO_TYPE, SOCK_STREAM) &&
      is(SO_ACCEPTCONN, 0) &&
      option(fd, SO_PEERCRED, 12).readUInt32LE(4) !== 0xffff_ffff
    );
  } catch {
    return false;
  }
}

/** A descriptor that Node has not opened. */
export function closeDescriptor(fd: number): void {
  calls().close(fd);
}

/** struct cmsghdr with one descriptor: CMSG_SPACE(sizeof(int)). */
const controlSize = 24;

function messageOf(bytes: Buffer, control: Buffer) {
  return {
    name: null,
    nameLength: 0,
    iov: { base: bytes, length: bytes.length },
    iovLength: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
}
