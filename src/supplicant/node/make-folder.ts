import { dirname } from 'node:path';
import { makeFolderSync } from '../../files/make-folder.js';
import { folderToDiskNow } from './durability.js';

/**
 * Create a private folder and its missing parents, each durable on return.
 * @throws Error of the operating system.
 */
export function makeFolder(path: string): void {
  makeFolderSync(path, { mode: 0o700, made: (folder) => folderToDiskNow(dirname(folder)) });
}
