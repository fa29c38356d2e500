import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RpcCommand, TeeResult } from '../../src/index.js';
import { ProfileFolder } from '../../src/supplicant/node/profile-folder.js';
import { AskingTee, inout, input, octets } from '../support/asking-application.js';

/** A TEE_UUID as it stands in memory. */
const uuid = Uint8Array.of(0x40, 0x0e, 0x9e, 0x5b, 0x36, 0x26, 0xe1, 0x11, 0xad, 0x9e, 0, 2, 0xa5, 0xd5, 0xc5, 0x1b);
const name = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-profiles-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const profiles = () => join(folder, 'made', 'when', 'needed');
const add = async (tee: AskingTee, command: number, number: number, text: string) => {
  const data = octets('input', new TextEncoder().encode(text));
  const { result, params } = await tee.ask(command, [inout(number), octets('input', uuid), data]);
  return [result, (params[0] as { readonly a: number }).a];
};

describe('profiles of trusted applications', () => {
  it('are written to separate files, named as by tee-supplicant', async () => {
    await using tee = await AskingTee.open({ profiles: new ProfileFolder(profiles()) });
    expect(await add(tee, RpcCommand.gprof, 0, 'one')).toEqual([TeeResult.SUCCESS, 1]);
    expect(await add(tee, RpcCommand.gprof, 0, 'two')).toEqual([TeeResult.SUCCESS, 2]);
    expect(await add(tee, RpcCommand.gprof, 1, ', more')).toEqual([TeeResult.SUCCESS, 1]);
    expect(await add(tee, RpcCommand.ftrace, 0, 'traced')).toEqual([TeeResult.SUCCESS, 1]);
    const files = Object.fromEntries(
      readdirSync(profiles()).map((file) => [file, readFileSync(join(profiles(), file), 'utf8')]),
    );
    expect(files).toEqual({
      [`gmon-${name}.out`]: 'one, more',
      [`gmon-${name}.1.out`]: 'two',
      [`ftrace-${name}.out`]: 'traced',
    });
    expect(statSync(join(profiles(), `gmon-${name}.out`)).mode & 0o777).toBe(0o600);
  });

  it('have at most a hundred files', async () => {
    await using tee = await AskingTee.open({ profiles: new ProfileFolder(profiles()) });
    for (let file = 1; file <= 100; file++) expect(await add(tee, RpcCommand.gprof, 0, '')).toEqual([0, file]);
    expect((await add(tee, RpcCommand.gprof, 0, ''))[0]).toBe(TeeResult.ERROR_GENERIC);
    expect((await add(tee, RpcCommand.gprof, 101, ''))[0]).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect((await add(tee, RpcCommand.ftrace, 3, ''))[0]).toBe(TeeResult.ERROR_BAD_PARAMETERS);
  });

  it('with wrong parameters are refused', async () => {
    await using tee = await AskingTee.open({ profiles: new ProfileFolder(profiles()) });
    const data = octets('input', 4);
    for (const asked of [
      [],
      [input(0), octets('input', uuid), data],
      [inout(0), octets('input', 15), data],
      [inout(0), octets('input', uuid)],
      [inout(0), octets('input', uuid), data, input(1)],
    ])
      expect((await tee.ask(RpcCommand.gprof, asked)).result).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect(existsSync(profiles())).toBe(false);
  });

  it('fail without affecting other requests if their folder cannot be created', async () => {
    writeFileSync(join(folder, 'file'), '');
    await using tee = await AskingTee.open({ profiles: new ProfileFolder(join(folder, 'file')) });
    expect((await add(tee, RpcCommand.gprof, 0, 'x'))[0]).toBe(TeeResult.ERROR_GENERIC);
    expect(tee.reported[0]?.message).toContain('EEXIST');
  });

  it('are refused unless a folder is given', async () => {
    await using tee = await AskingTee.open({});
    expect((await add(tee, RpcCommand.gprof, 0, 'x'))[0]).toBe(TeeResult.ERROR_NOT_SUPPORTED);
  });
});
