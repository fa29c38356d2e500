import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';

const packageRoot = fileURLToPath(new URL('../../', import.meta.url));
const template = join(packageRoot, 'templates/ta');

/** The real names of template files that npm does not pack under these names. */
const otherNames: Readonly<Record<string, string>> = {
  gitignore: '.gitignore',
  clangd: '.clangd',
  'github-workflow.yml': '.github/workflows/test.yml',
  'gitlab-ci.yml': '.gitlab-ci.yml',
};

const namePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Create a project: a trusted application in C, tests for both worlds, and configuration for continuous integration and
 * an editor.
 * @param folder its path; it may exist if it is empty.
 * @param normalworld the version of this package in package.json. Default: a tarball of this package, put into the
 *   project.
 * @returns the new UUID of the application.
 * @throws RangeError for an invalid name, or a folder that is not empty.
 */
export async function newTaProject(name: string, folder: string, normalworld?: string): Promise<string> {
  if (!namePattern.test(name) || name.length > 64)
    throw new RangeError(
      `"${name}" cannot be the name of a trusted application: a name begins with a lower-case letter, has lower-case letters, digits and single hyphens between them, and at most 64 characters`,
    );
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RangeError(`${folder} cannot be created: ${error.message}`);
  });
  if (there.some((entry) => entry !== '.git')) throw new RangeError(`${folder} is not empty`);
  const made = makeFolderSync(folder);
  try {
    return await fill(name, folder, normalworld);
  } catch (error) {
    // Nothing that a second attempt would find in its way.
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    else
      for (const entry of await readdir(folder))
        if (entry !== '.git') await rm(join(folder, entry), { recursive: true, force: true });
    throw error;
  }
}

/** @returns the application's UUID. */
async function fill(name: string, folder: string, normalworld: string | undefined): Promise<string> {
  const uuid = randomUUID();
  const values: Readonly<Record<string, string>> = {
    NAME: name,
    FILE: name,
    SYMBOL: name.replaceAll('-', '_').toUpperCase(),
    UUID: uuid,
    UUIDFIELDS: uuidFields(uuid),
    NORMALWORLD: normalworld ?? (await packInto(join(folder, 'vendor'))),
  };
  for (const entry of await readdir(template, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name).slice(template.length + 1);
    const target = join(folder, otherNames[path] ?? path.replace('TEMPLATE', name));
    makeFolderSync(dirname(target));
    const text = await readRegularText(join(template, path));
    writeWholeSync(
      target,
      text.replaceAll(/__([A-Z]+)__/g, (all, key: string) => values[key] ?? all),
    );
  }
  return uuid;
}

/** The fields of a `TEE_UUID` as a C initialiser. */
function uuidFields(uuid: string): string {
  const [low = '', mid = '', high = '', sequence = '', node = ''] = uuid.split('-');
  const octets = [...`${sequence}${node}`.matchAll(/../g)].map(([octet]) => `0x${octet}`);
  return `0x${low}, 0x${mid}, 0x${high}, \\\n\t  { ${octets.join(', ')} }`;
}

/** Put a tarball of this package into the project, so that every clone uses the version it was created with. */
async function packInto(folder: string): Promise<string> {
  makeFolderSync(folder);
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--ignore-scripts', '--loglevel=error', '--json', '--pack-destination', folder],
    { cwd: packageRoot, maxBuffer: 1 << 26 },
  );
  const [packed] = JSON.parse(stdout) as readonly { readonly filename: string }[];
  if (packed === undefined) throw new Error('npm pack created no tarball');
  return `file:vendor/${packed.filename}`;
}
