import { describe, expect, it } from 'vitest';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { parseUuid, uuidOctets } from '../../src/protocol/uuid.js';
import { loadTaService } from '../../src/supplicant/ta-store.js';
import type { TeeMemrefParam } from '../../src/tee/tee-param.js';
import { bytesOf, RequestMemory, valueParam } from '../support/shared-memory.js';

const one = parseUuid('5b9e0e40-2636-11e1-ad9e-0002a5d5c51b');
const other = parseUuid('ffd2bded-ab7d-4988-95ee-e4962fff7154');

/** LOAD_TA requests to a store. */
function storeOf(images: Map<string, string>) {
  const service = loadTaService([
    {
      load: (uuid) => {
        const text = images.get(uuid);
        return text === undefined ? undefined : Buffer.from(text);
      },
    },
  ]);
  const memory = new RequestMemory();
  const request = async (uuid: string, memref: TeeMemrefParam) => {
    const result = await service([{ ...valueParam('input'), octets: uuidOctets(uuid) }, memref]);
    return { result, memref };
  };
  return {
    size: async (uuid: string) => {
      const { result, memref } = await request(uuid, {
        ...{ type: 'memref', direction: 'output', shm: null, offset: 0, size: 0 },
      });
      return result === TeeResult.SUCCESS ? memref.size : result;
    },
    image: async (uuid: string, room: number) => {
      const { result, memref } = await request(uuid, memory.memref('output', room));
      return result === TeeResult.SUCCESS ? Buffer.from(bytesOf(memref)).toString() : [result, memref.size];
    },
  };
}

describe('LOAD_TA', () => {
  it('returns the current content of the store', async () => {
    const images = new Map([[one, 'first']]);
    const { size, image } = storeOf(images);
    expect(await size(one)).toBe(5);
    images.set(one, 'second');
    expect(await size(one)).toBe(6);
    expect(await image(one, 6)).toBe('second');
    images.set(one, 'third');
    expect(await image(one, 6)).toBe('third');
  });

  it('separates two applications that are loaded concurrently', async () => {
    const { size, image } = storeOf(
      new Map([
        [one, 'one'],
        [other, 'other'],
      ]),
    );
    expect([await size(one), await size(other)]).toEqual([3, 5]);
    expect([await image(one, 3), await image(other, 5)]).toEqual(['one', 'other']);
  });

  it('returns the size if the buffer is too small, and ITEM_NOT_FOUND if there is no image', async () => {
    const { size, image } = storeOf(new Map([[one, 'signed']]));
    expect(await image(one, 5)).toEqual([TeeResult.ERROR_SHORT_BUFFER, 6]);
    expect(await size(other)).toBe(TeeResult.ERROR_ITEM_NOT_FOUND);
  });
});
