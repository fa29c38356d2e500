import koffi from 'koffi';

// asm-generic/socket.h
const SOL_SOCKET = 1;
export const SocketOption = { SO_SNDBUF: 7, SO_RCVBUF: 8 } as const;

/**
 * The file descriptor of a Node socket, for operations that Node does not offer.
 * @throws Error if the socket is closed.
 */
export function socketDescriptor(socket: object): number {
  // Not documented by Node, but present in all versions, and the only access to the descriptor.
  const { fd } = (socket as { readonly _handle?: { readonly fd?: number } | null })._handle ?? {};
  if (fd === undefined || fd < 0) throw new Error('the socket is closed');
  return fd;
}

const loadSetsockopt = () =>
  koffi.load(null).func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
let setsockopt: ReturnType<typeof loadSetsockopt> | undefined;

/** @returns false if the kernel refuses the option. */
export function setSocketOption(socket: object, option: number, value: Uint8Array): boolean {
  setsockopt ??= loadSetsockopt();
  return setsockopt(socketDescriptor(socket), SOL_SOCKET, option, value, value.length) === 0;
}
