import { dirname } from 'node:path';

type Imports = ReadonlyMap<string, readonly string[]>;

/** Groups of nodes each of which leads to all others of its group: Tarjan's strongly connected components. */
export function circles(imports: Imports): string[][] {
  const found: string[][] = [];
  const number = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];

  const visit = (node: string): number => {
    const own = number.size;
    let low = own;
    number.set(node, own);
    path.push(node);
    for (const next of imports.get(node) ?? []) {
      if (!imports.has(next)) continue;
      if (!number.has(next)) low = Math.min(low, visit(next));
      else if (path.includes(next)) low = Math.min(low, number.get(next) ?? own);
    }
    lowest.set(node, low);
    if (low === own) {
      const circle = path.splice(path.indexOf(node));
      if (circle.length > 1 || imports.get(node)?.includes(node)) found.push(circle.sort());
    }
    return low;
  };

  for (const node of imports.keys()) if (!number.has(node)) visit(node);
  return found;
}

/** Every folder with sources in it, or below it; '' is the root. */
export function foldersOf(files: readonly { readonly path: string }[]): string[] {
  const folders = new Set<string>(['']);
  for (const { path } of files)
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder);
  return [...folders];
}

/** Which folders of a parent folder import from which others of it, wherever below them. */
export function importsBetweenFoldersIn(
  parent: string,
  files: readonly { readonly path: string; readonly imports: readonly string[] }[],
): Imports {
  const prefix = parent === '' ? '' : `${parent}/`;
  const folderOf = (path: string) => {
    const [first, ...rest] = path.startsWith(prefix) ? path.slice(prefix.length).split('/') : [];
    return rest.length > 0 ? first : undefined;
  };
  const between = new Map<string, string[]>();
  for (const { path, imports } of files) {
    const from = folderOf(path);
    if (from === undefined) continue;
    const others = between.get(from) ?? [];
    between.set(from, others);
    for (const to of imports.map(folderOf)) if (to !== undefined && to !== from) others.push(to);
  }
  return between;
}
