import { TeecError, TeeOrigin, TeeResult } from '../../dist/index.js';
import { nonsense } from '../draws.js';

const system = (code) => Object.assign(new Error(`${code}: thrown by chaos`), { code, errno: -1 });

/** Values that code behind a supplicant may throw. */
const thrown = [
  ...['EIO', 'ENOSPC', 'EMFILE', 'EACCES', 'EROFS', 'ENOENT', 'ECONNRESET'].map(system),
  ...[new Error('a bug of chaos'), new TypeError('undefined is not a function'), new RangeError('out of range')],
  ...['text', null, undefined],
  new TeecError(TeeResult.ERROR_OUT_OF_MEMORY, TeeOrigin.COMMS, 'refused by chaos'),
  new TeecError(TeeResult.ERROR_STORAGE_NO_SPACE, TeeOrigin.COMMS, 'refused by chaos'),
];

/**
 * A proxy for an object whose methods fail at times: they throw synchronously, reject later, or return invalid values.
 * @param share probability of a fault.
 * @param onFault called for each fault with the method's name.
 */
export function failing(target, draws, { share, lies = true, onFault = () => {}, wrap = (_name, value) => value }) {
  return new Proxy(target, {
    get(object, name) {
      const method = object[name];
      if (typeof method !== 'function') return method;
      return (...args) => {
        // Claims and closes must stay consistent: a fault there would be a leak caused by the test itself.
        if (name !== 'claim' && name !== 'close' && draws.chance(share)) {
          onFault(String(name));
          const error = draws.of(thrown);
          switch (draws.upTo(lies ? 4 : 3)) {
            case 0:
              throw error;
            case 1:
              return Promise.reject(error);
            case 2:
              return new Promise((_resolve, reject) => setTimeout(() => reject(error), draws.upTo(5)));
            default:
              return draws.of(nonsense.filter((each) => typeof each !== 'number'));
          }
        }
        const value = method.apply(object, args);
        return value instanceof Promise ? value.then((came) => wrap(name, came)) : wrap(name, value);
      };
    },
  });
}

/** A file system whose operations fail, and those of its files. */
export function failingFiles(fileSystem, draws, options) {
  return failing(fileSystem, draws, {
    ...options,
    // An invalid result of an open would leave the file open without an owner.
    lies: false,
    wrap: (name, value) =>
      name === 'open' || name === 'create' ? failing(value, draws, { ...options, lies: false }) : value,
  });
}

export function failingSockets(sockets, draws, options) {
  return failing(sockets, draws, {
    ...options,
    lies: false,
    wrap: (name, value) => (name === 'open' ? failing(value, draws, options) : value),
  });
}

/** A plugin that misbehaves. */
export function failingPlugin(uuid, draws) {
  return {
    uuid,
    invoke: (_command, _subCommand, data) => {
      switch (draws.upTo(6)) {
        case 0:
          throw draws.of(thrown);
        case 1:
          return Promise.reject(draws.of(thrown));
        case 2:
          return draws.of(nonsense);
        case 3:
          return { result: draws.of(nonsense), output: draws.of(nonsense) };
        case 4:
          return { result: TeeResult.SUCCESS, output: new Uint8Array(draws.upTo(10_000)) };
        default:
          return { result: TeeResult.SUCCESS, output: data.map((octet) => octet ^ 0xff) };
      }
    },
  };
}
