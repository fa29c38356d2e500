import { readRegularFileSync } from './files/read-regular-file.js';

/** Of this package, as package.json has it. */
export const { version: packageVersion } = JSON.parse(
  readRegularFileSync(new URL('../package.json', import.meta.url)).toString(),
) as { readonly version: string };
