import { existsSync } from 'node:fs';
import { type Finding, findProgram } from '../worlds/qemu/inspect-machine.js';
import { arm64Root, isComplete } from './arm64-root.js';
import { hostArchitecture, isOfThisVersion, preloadLibrary } from './client-command.js';

/** Check what clients of a served TEE need. Nothing else needs it. */
export async function inspectClients(): Promise<Finding[]> {
  const root = arm64Root();
  const architectures = [...new Set([hostArchitecture, 'aarch64'])];
  return [
    ...architectures.map((architecture): Finding => {
      const library = preloadLibrary(architecture);
      const present = existsSync(library) && isOfThisVersion(library);
      return {
        what: `preload library for ${architecture}`,
        state: present ? 'present' : 'optional',
        detail: present ? library : 'npx normalworld preload: needed to run clients of that architecture',
      };
    }),
    ...(hostArchitecture === 'aarch64'
      ? []
      : [
          await findProgram(
            'qemu-aarch64',
            ['--version'],
            'apt-get install qemu-user: needed to run arm64 clients, such as xtest',
            'optional',
          ),
        ]),
    isComplete(root)
      ? { what: 'xtest', state: 'present', detail: root.xtest }
      : { what: 'xtest', state: 'optional', detail: `no ${root.xtest}: npx normalworld optee fetch` },
  ];
}
