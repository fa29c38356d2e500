import { describe, expect, it } from 'vitest';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { pluginService } from '../../src/supplicant/plugin-service.js';
import { testPlugin } from '../../src/xtest/test-plugin.js';
import { bytesOf, RequestMemory, valueParam } from '../support/shared-memory.js';

/** The words of f07bfc66-958c-4a15-99c0-260e4e7375dd, its octets read as little-endian numbers. */
const uuid = [0x66fc_7bf0, 0x154a_8c95, 0x0e26_c099, 0xdd75_734e] as const;

describe('a plugin of the supplicant', () => {
  const memory = new RequestMemory();
  const invoke = async (command: number, subCommand: number, data: Uint8Array, words: readonly number[] = uuid) => {
    const third = valueParam('inout', subCommand);
    const buffer = memory.memref('inout', data);
    const result = await pluginService([testPlugin])([
      valueParam('input', 0, words[0], words[1]),
      valueParam('input', words[2], words[3], command),
      third,
      buffer,
    ]);
    return { result, length: third.b, bytes: [...bytesOf(buffer)] };
  };

  it('is found by its UUID', async () => {
    expect(await invoke(0, 0, new Uint8Array(4))).toMatchObject({ result: TeeResult.SUCCESS, length: 0 });
    expect(await invoke(0, 0, new Uint8Array(4), [1, 2, 3, 4])).toMatchObject({
      result: TeeResult.ERROR_ITEM_NOT_FOUND,
    });
  });

  it('writes to the beginning of the buffer, and returns the size', async () => {
    const numbers = new Uint8Array(new Uint32Array([40, 2]).buffer);
    expect(await invoke(1, '+'.charCodeAt(0), numbers)).toEqual({
      result: TeeResult.SUCCESS,
      length: 4,
      bytes: [42, 0, 0, 0, 2, 0, 0, 0],
    });
    expect(await invoke(1, '-'.charCodeAt(0), numbers)).toMatchObject({ bytes: [38, 0, 0, 0, 2, 0, 0, 0] });
    expect(await invoke(2, 0, Uint8Array.of(200, 100, 1))).toMatchObject({ length: 1, bytes: [45, 100, 1] });
  });

  it('reports an error, and changes nothing', async () => {
    expect(await invoke(3, 0, new Uint8Array(17))).toMatchObject({ result: TeeResult.ERROR_GENERIC, length: 0 });
    expect(await invoke(9, 0, Uint8Array.of(7))).toEqual({
      result: TeeResult.ERROR_NOT_SUPPORTED,
      length: 0,
      bytes: [7],
    });
  });

  it("gets a buffer no larger than its caller's", async () => {
    await expect(invoke(1, 0, new Uint8Array(2))).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
  });

  const words = valueParam('input', 0, uuid[0], uuid[1]);
  const rest = valueParam('input', uuid[2], uuid[3], 0);
  const sub = valueParam('inout');
  const data = memory.memref('inout', new Uint8Array(4));
  const malformed: readonly [string, Parameters<ReturnType<typeof pluginService>>[0]][] = [
    ['without parameters', []],
    ['without half of its UUID', [words]],
    ['with memory in place of its UUID', [data, rest, sub, data]],
    ['whose UUID is an output', [valueParam('output'), rest, sub, data]],
    ['without room for a length', [words, rest, valueParam('input'), data]],
    ['without data', [words, rest, sub]],
    ['with data that may not be written', [words, rest, sub, memory.memref('input', new Uint8Array(4))]],
  ];
  it.each(malformed)('is not called for a request %s', async (_, params) => {
    await expect(pluginService([testPlugin])(params)).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
  });

  it('supports one operation', async () => {
    const result = pluginService([testPlugin])([valueParam('input', 1, uuid[0], uuid[1]), rest, sub, data]);
    expect(await result).toBe(TeeResult.ERROR_NOT_SUPPORTED);
  });
});
