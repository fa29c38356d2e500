import { accessSync, constants, existsSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { TeecError } from '../tee/teec-error.js';
import type { Finding } from '../worlds/qemu/inspect-machine.js';
import type { DeviceDoor } from './device-door.js';
import { kernelDoor } from './kernel-door.js';

/** Check what a board needs so that clients can use its TEE: what exists, what is missing, what to do. */
export function inspectBoard(device: string): readonly Finding[] {
  if (!existsSync(device)) return [{ what: 'TEE device', state: 'missing', detail: `no ${device}: ${whyNoDevice()}` }];
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    const { uid, gid, mode } = statSync(device);
    return [
      {
        what: 'TEE device',
        state: 'missing',
        detail: `${device} belongs to user ${uid} and group ${gid}, mode ${(mode & 0o777).toString(8)}, and this user (${process.geteuid?.()}) may not open it: a udev rule gives it to a group (docs/boards.md)`,
      },
    ];
  }
  let door: DeviceDoor;
  try {
    door = kernelDoor(device, 1);
  } catch (error) {
    if (!(error instanceof TeecError)) throw error;
    return [{ what: 'TEE device', state: 'missing', detail: error.message }];
  }
  door.end();
  const { registeredMemory, memrefNull } = door.version;
  return [
    { what: 'TEE device', state: 'present', detail: `${device} is an OP-TEE` },
    registeredMemory
      ? { what: 'shared memory', state: 'present', detail: "a client's own buffers are shared in place" }
      : {
          what: 'shared memory',
          state: 'optional',
          detail:
            'reserved memory only: buffers are copied, and all clients share what OP-TEE reserved (CFG_CORE_DYN_SHM is off, or the kernel is older than 4.16)',
        },
    memrefNull
      ? {
          what: 'null references',
          state: 'present',
          detail: 'a null memory reference can be distinguished from an empty one',
        }
      : {
          ...{ what: 'null references', state: 'optional' },
          detail:
            'a null memory reference is treated as an empty one (OP-TEE older than 3.10, or a kernel older than 5.12)',
        },
    supplicantOf(device),
  ];
}

function whyNoDevice(): string {
  if (!existsSync('/sys/class/tee'))
    return 'the kernel has no TEE subsystem: it needs CONFIG_TEE and CONFIG_OPTEE (modprobe optee)';
  if (!existsSync('/sys/firmware/devicetree/base/firmware/optee'))
    return 'the device tree has no /firmware/optee: the firmware did not start OP-TEE, or does not report it';
  return 'the driver found no usable OP-TEE: dmesg | grep optee shows why';
}

function supplicantOf(device: string): Finding {
  const path = `/dev/${basename(device).replace(/^tee/, 'teepriv')}`;
  const what = 'supplicant';
  if (!existsSync(path)) return { what, state: 'missing', detail: `no ${path}: no supplicant can serve this TEE` };
  const holder = holderOf(path);
  if (holder === 'unknown')
    return { what, state: 'optional', detail: `this user cannot see whether a process has ${path} open: run as root` };
  if (holder === undefined)
    return {
      ...{ what, state: 'missing' },
      detail: `no process has ${path} open: sessions of trusted applications that are files wait for ever. Start tee-supplicant, or: normalworld supplicant`,
    };
  return { what, state: 'present', detail: `process ${holder} serves ${path}` };
}

/** The process that has a file open; `unknown` if some processes cannot be inspected. */
function holderOf(path: string): number | 'unknown' | undefined {
  let isBlind = false;
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    let descriptors: string[];
    try {
      descriptors = readdirSync(`/proc/${name}/fd`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') isBlind = true;
      continue;
    }
    for (const descriptor of descriptors)
      try {
        if (readlinkSync(`/proc/${name}/fd/${descriptor}`) === path) return Number(name);
      } catch {
        // The file was closed in the meantime.
      }
  }
  return isBlind ? 'unknown' : undefined;
}
