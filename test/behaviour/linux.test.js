/**
 * The behaviour suite on the TEE of this machine, by Linux's driver: `node --test test/behaviour/linux.test.js` after
 * `npm run build`. NORMALWORLD_DEVICE names another device than /dev/tee0.
 */
import { after, before, describe, it } from 'node:test';
import { memref, none, openTee, TeecError, temporary, value } from '../../dist/index.js';
import { behaviourSuite } from './suite.js';

const device = process.env.NORMALWORLD_DEVICE ?? '/dev/tee0';
behaviourSuite(
  { describe, it, before, after },
  { memref, none, temporary, value, TeecError },
  {
    name: device,
    open: () => openTee({ world: 'linux', device }),
    identity: { uid: process.geteuid(), gid: process.getegid(), groups: process.getgroups() },
  },
);
