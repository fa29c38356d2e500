import { readRegularFileSync } from '../files/read-regular-file.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';

/** The definitions in a C header that the application and its tests share. */
export interface TaHeader {
  readonly uuid: Uuid;
  /** The value of each `#define NAME number`. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * Read the header of a trusted application: `#define`s of numbers, and the one UUID that is an initialiser of TEE_UUID.
 * @throws Error naming the file if it holds no UUID, or several.
 */
export function taHeader(path: string): TaHeader {
  const text = readRegularFileSync(path)
    .toString()
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ' ')
    .replaceAll(/\\\r?\n/g, ' ');
  const numbers: Record<string, number> = {};
  const uuids = new Set<Uuid>();
  for (const [, name = '', body = ''] of text.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.+)$/gm)) {
    const number = /^\(?\s*(0x[0-9a-f]+|\d+)[uUlL]*\s*\)?$/i.exec(body.trim())?.[1];
    if (number !== undefined) numbers[name] = Number(number);
    const uuid = uuidOf(body);
    if (uuid !== undefined) uuids.add(uuid);
  }
  const [uuid, another] = uuids;
  if (uuid === undefined || another !== undefined)
    throw new Error(
      `${path} has ${uuid === undefined ? 'no' : 'more than one'} UUID: expected one #define of { 0x..., 0x..., 0x..., { 8 octets } }`,
    );
  return {
    uuid,
    // An unknown name throws here, instead of being undefined and failing elsewhere.
    numbers: new Proxy(numbers, {
      get(target, name) {
        if (typeof name !== 'string' || Object.hasOwn(target, name)) return Reflect.get(target, name);
        throw new Error(`${path} defines no number ${name}`);
      },
    }),
  };
}

function uuidOf(body: string): Uuid | undefined {
  const fields = /^\{([^{}]+)\{([^{}]+)\}\s*,?\s*\}$/.exec(body.trim());
  if (fields === null) return undefined;
  const values = `${fields[1]},${fields[2]}`.split(',').map((each) => each.trim());
  const given = values.filter((each) => each !== '').map(Number);
  if (given.length !== 11 || given.some((each) => !Number.isInteger(each))) return undefined;
  const octets = given.flatMap((each, index) => {
    const bytes = index === 0 ? 4 : index < 3 ? 2 : 1;
    return Array.from({ length: bytes }, (_, at) => Math.floor(each / 256 ** (bytes - 1 - at)) % 256);
  });
  return uuidFromOctets(Uint8Array.from(octets));
}
