/** Writes scenario.schema.json, from what scenario files may have (`npm run schema`); a test holds that it is up to date. */
import { writeFileSync } from 'node:fs';
import { scenarioJsonSchema } from '../dist/scenarios.js';

writeFileSync(new URL('scenario.schema.json', import.meta.url), `${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`);
