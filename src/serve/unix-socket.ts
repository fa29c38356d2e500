import type { Socket } from 'node:net';
import koffi from 'koffi';
import { systemError } from '../processes/system-error.js';
import { socketDescriptor } from '../supplicant/node/socket-descriptor.js';
import type { ClientIdentity } from '../tee/login.js';
import { ErrnoError } from './errno.js';

/**
 * Operations on Unix sockets that Node does not have: peer credentials and descriptor passing. The constants are
 * Linux's (asm-generic/socket.h, linux/socket.h).
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

/** The process at the other end of a connection. */
export interface Peer {
  readonly pid: number;
  /** Effective user and group, and supplementary groups, at the time of connect(2). */
  readonly identity: ClientIdentity;
}

/** The credentials of the peer, which the kernel reports. */
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

/** The same without the supplementary groups: struct ucred. */
export function credentialsOf(socket: Socket): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const credentials = option(socketDescriptor(socket), SO_PEERCRED, 12);
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4), gid: credentials.readUInt32LE(8) };
}

/**
 * A buffer for the largest option, the groups. It is reused, because each connection needs it and few processes have
 * many groups.
 */
const optionRoom = Buffer.alloc(4 * maxGroups);

function option(fd: number, name: number, size: number): Buffer {
  const length = [size];
  if (calls().getsockopt(fd, SOL_SOCKET, name, optionRoom, length) !== 0)
    throw systemError(`getsockopt ${name}`, koffi.errno());
  return Buffer.from(optionRoom.subarray(0, length[0] ?? 0));
}

/**
 * Send the first bytes on a connection together with descriptors.
 * @param bytes few enough to be sent at once, because nothing was sent before.
 * @throws ErrnoError EPIPE if the peer has closed; ETOOMANYREFS if too many descriptors are in flight.
 */
export function sendWithFile(socket: Socket, bytes: Buffer, ...files: readonly number[]): void {
  const control = Buffer.alloc(controlSpace(files.length));
  // struct cmsghdr: length, level and type, followed by the descriptors.
  control.writeBigUInt64LE(BigInt(headerSize + 4 * files.length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  for (const [index, file] of files.entries()) control.writeInt32LE(file, headerSize + 4 * index);
  const message = messageOf(bytes, control);
  const sent = Number(calls().sendmsg(socketDescriptor(socket), message, MSG_DONTWAIT_NOSIGNAL));
  if (sent !== bytes.length) throw new ErrnoError(koffi.errno(), 'sending an open file');
}

/** A pair of connected sockets. @throws ErrnoError EMFILE, ENFILE */
export function socketPair(): [number, number] {
  const pair = [-1, -1];
  if (calls().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) !== 0)
    throw new ErrnoError(koffi.errno(), 'making a pair of sockets');
  return pair as [number, number];
}

/**
 * Receive the next descriptor from a socket; each byte can carry one. If a byte carries more, all of them are closed. The
 * kernel closes those for which there is no room.
 * @returns the descriptor; -1 for a byte without exactly one; undefined if there is no byte.
 */
export function receiveFile(fd: number): number | undefined {
  const control = Buffer.alloc(controlSpace(1));
  const got = Number(calls().recvmsg(fd, messageOf(Buffer.alloc(1), control), MSG_DONTWAIT_CMSG_CLOEXEC));
  if (got <= 0) return undefined;
  if (control.readInt32LE(12) !== SCM_RIGHTS) return -1;
  // The space for one descriptor is rounded up to a multiple of eight octets, so two can arrive.
  const count = (Number(control.readBigUInt64LE(0)) - headerSize) / 4;
  const files = Array.from({ length: count }, (_, index) => control.readInt32LE(headerSize + 4 * index));
  const [first] = files;
  if (files.length === 1 && first !== undefined) return first;
  for (const file of files) closeDescriptor(file);
  return -1;
}

/** Whether a received descriptor is a connected Unix stream socket. */
export function isStreamOfUnixSocket(fd: number): boolean {
  try {
    const is = (name: number, wanted: number) => option(fd, name, 4).readInt32LE(0) === wanted;
    // A socket that was never connected has no peer.
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

/** Close a descriptor that was not opened by Node. */
export function closeDescriptor(fd: number): void {
  calls().close(fd);
}

/** Size of struct cmsghdr. */
const headerSize = 16;

/** CMSG_SPACE of so many descriptors. */
const controlSpace = (files: number) => headerSize + Math.ceil((4 * files) / 8) * 8;

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
