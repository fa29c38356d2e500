import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../files/read-regular-file.js';
import { parseUuid } from '../protocol/uuid.js';
import type { KnownKeys } from './image-judge.js';
import { inspectTa } from './inspect-ta.js';

/** The images of a folder that OP-TEE will refuse, as `name: fault`. */
export async function faultsInFolder(folder: string, keys: KnownKeys): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.ta')).sort();
  const faults: string[] = [];
  for (const name of names) {
    const image = await readRegularFile(join(folder, name)).catch((error: Error) => error);
    if (image instanceof Error) {
      faults.push(`${name}: ${image.message}`);
      continue;
    }
    const [fault] = inspectTa(image, { named: uuidOf(name), ...keys }).faults;
    if (fault !== undefined) faults.push(`${name}: ${fault.detail}`);
  }
  return faults;
}

function uuidOf(name: string): string | undefined {
  try {
    return parseUuid(name.slice(0, -'.ta'.length));
  } catch {
    return undefined;
  }
}
