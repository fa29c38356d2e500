import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { missingForQemu } from '../../../src/missing-for-qemu.js';
import { type Finding, type InspectOptions, inspectMachine } from '../../../src/worlds/qemu/inspect-machine.js';
import { folderAt, opteeFolder } from '../../../src/worlds/qemu/optee-folder.js';
import { opteeLikeImage } from '../../support/optee-like-image.js';

describe("the machine's prerequisites for the real OP-TEE", () => {
  let scratch: string;
  beforeEach(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'normalworld-'));
  });
  afterEach(() => rm(scratch, { recursive: true }));

  async function found(what: string, options: Partial<InspectOptions> = {}): Promise<Finding | undefined> {
    const findings = await inspectMachine({ folder: folderAt(scratch), ...options });
    return findings.find((finding) => finding.what === what);
  }

  it('report what is missing and how to get it', async () => {
    expect(await found('OP-TEE OS')).toMatchObject({
      state: 'missing',
      detail: expect.stringMatching(/tee-pager_v2.bin: npx normalworld optee fetch, or give .* of your own/),
    });
    expect(await found('trusted applications')).toMatchObject({ state: 'optional' });
    expect(await found('/no/such/qemu', { qemu: '/no/such/qemu' })).toMatchObject({
      state: 'missing',
      detail: expect.stringMatching(/apt-get install qemu-system-arm/),
    });
  });

  it('give the reason to skip a test if something is missing, and none otherwise', async () => {
    const optee = join(scratch, 'own.bin');
    expect(await missingForQemu({ optee, qemu: '/no/such/qemu' })).toMatch(
      /^\/no\/such\/qemu: apt-get install .*; OP-TEE OS: no .*own\.bin: npx normalworld optee fetch/,
    );
    await writeFile(optee, opteeLikeImage());
    const qemu = join(scratch, 'qemu');
    await writeFile(qemu, '#!/bin/sh\necho QEMU emulator version 9.2.0\n', { mode: 0o755 });
    expect(await missingForQemu({ optee, qemu })).toBeUndefined();
  });

  it('include a fetched OP-TEE with its packages', async () => {
    await mkdir(join(scratch, 'ta'));
    await writeFile(join(scratch, 'ta', 'x.ta'), '');
    await writeFile(join(scratch, 'tee-pager_v2.bin'), opteeLikeImage());
    await writeFile(join(scratch, 'packages.json'), '[{ "name": "optee-os", "version": "4.5.0-2" }]');
    expect(await found('OP-TEE OS')).toMatchObject({
      state: 'present',
      detail: `${scratch}/tee-pager_v2.bin (132304 bytes), optee-os 4.5.0-2`,
    });
    expect(await found('trusted applications')).toMatchObject({ state: 'present', detail: `1 in ${scratch}/ta` });
  });

  it("include the user's own image and folder", async () => {
    const image = join(scratch, 'own.bin');
    await writeFile(image, opteeLikeImage());
    expect(await found('OP-TEE OS', { image })).toEqual({
      what: 'OP-TEE OS',
      state: 'present',
      detail: `${image} (132304 bytes)`,
    });
    await writeFile(image, '');
    expect(await found('OP-TEE OS', { image })).toMatchObject({
      state: 'missing',
      detail: expect.stringMatching(/own\.bin: the OP-TEE image is empty/),
    });
    await writeFile(
      image,
      Uint8Array.from({ length: 100_000 }, (_, index) => index * 7),
    );
    expect(await found('OP-TEE OS', { image })).toMatchObject({
      state: 'missing',
      detail: expect.stringMatching(/is probably not an OP-TEE: its first instruction is 0x150e0700/),
    });
    expect(await found('OP-TEE OS', { image: scratch })).toMatchObject({
      state: 'missing',
      detail: expect.stringContaining('it is a folder, not a file'),
    });
    expect(await found('trusted applications', { trustedApplications: scratch })).toMatchObject({
      state: 'optional',
      detail: expect.stringContaining(scratch),
    });
  });

  it('are searched in the places that the environment names', () => {
    expect(opteeFolder({ NORMALWORLD_OPTEE: '/own' }).image).toBe('/own/tee-pager_v2.bin');
    expect(opteeFolder({ XDG_CACHE_HOME: '/cache' }).path).toBe('/cache/normalworld/optee');
    expect(opteeFolder({}).path).toMatch(/\/\.cache\/normalworld\/optee$/);
  });
});
