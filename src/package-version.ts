import { readRegularFileSync } from './files/read-regular-file.js';

/** The version of this package in package.json. */
export const { version: packageVersion } = JSON.parse(
  readRegularFileSync(new URL('../package.json', import.meta.url)).toString(),
) as { readonly version: string };
