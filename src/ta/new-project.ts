import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const packageRoot = fileURLToPath(new URL('../../', import.meta.url));
const template = join(packageRoot, 'templates/ta');

/** Where files of the template go that a package cannot hold under their own names. */
const otherNames: Readonly<Record<string, string>> = {
  gitignore: '.gitignore',
  clangd: '.clangd',
  'github-workflow.yml': '.github/workflows/test.yml',
  'gitlab-ci.yml': '.gitlab-ci.yml',
};

const namePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Make a project: a trusted application in C, its tests on both worlds, what continuous integration and an editor need.
 * @param folder where; it may exist if it is empty.
 * @param normalworld what package.json asks npm for; a tarball of this package, put into the project, when left out.
 * @returns its UUID, made for it.
 * @throws RangeError for a name that cannot be, or a folder that holds something.
 */
export async function newTaProject(name: string, folder: string, normalworld?: string): Promise<string> {
  if (!namePattern.test(name) || name.length > 64)
    throw new RangeError(
      `"${name}" cannot be the name of a trusted application: lower case letters, digits, and - between them`,
    );
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RangeError(`${folder} cannot be created: ${error.message}`);
  });
  if (there.some((entry) => entry !== '.git')) throw new RangeError(`${folder} is not empty`);
  await mkdir(folder, { recursive: true });
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
    await mkdir(dirname(target), { recursive: true });
    const text = await readFile(join(template, path), 'utf8');
    await writeFile(
      target,
      text.replaceAll(/__([A-Z]+)__/g, (all, key: string) => values[key] ?? all),
    );
  }
  return uuid;
}

/** The fields of `TEE_UUID`, as C initialises them. */
function uuidFields(uuid: string): string {
  const [low = '', mid = '', high = '', sequence = '', node = ''] = uuid.split('-');
  const octets = [...`${sequence}${node}`.matchAll(/../g)].map(([octet]) => `0x${octet}`);
  return `0x${low}, 0x${mid}, 0x${high}, \\\n\t  { ${octets.join(', ')} }`;
}

/** This package as a tarball in the project: whoever clones it has the version that it was made with. */
async function packInto(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--json', '--pack-destination', folder],
    { cwd: packageRoot, maxBuffer: 1 << 26 },
  );
  const [packed] = JSON.parse(stdout) as readonly { readonly filename: string }[];
  if (packed === undefined) throw new Error('npm pack created no tarball');
  return `file:vendor/${packed.filename}`;
}
