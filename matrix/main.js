/**
 * `npm run test:matrix [-- --json] [--build NAME]... [--make] [--only suite|xtest] [--results FILE] [--table FILE]`:
 * boots each kind of OP-TEE and runs the behaviour suite, the port of OP-TEE's regression tests, and the xtest cases in
 * the table. Missing builds are skipped with a message that says how to get them, or are built first (`--make`).
 * `--results` merges the results into a file. Exit code 1 if anything failed.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { openTee } from '../dist/index.js';
import { buildOptee } from '../dist/optee-build/build-optee.js';
import { builtOptee, clientsOf, fetchedFolder } from '../dist/optee-build/built-optee.js';
import { runXtest } from '../dist/xtest/run-xtest.js';
import { optionsOf } from './build-options.js';
import { builds } from './builds.js';
import { runSuite } from './suite.js';
import { table } from './table.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    build: { type: 'string', multiple: true },
    make: { type: 'boolean', default: false },
    only: { type: 'string' },
    results: { type: 'string' },
    table: { type: 'string' },
  },
});
const names = values.build ?? builds.map(({ name }) => name);
const unknown = names.find((name) => !builds.some((build) => build.name === name));
if (unknown !== undefined || ![undefined, 'suite', 'xtest'].includes(values.only)) {
  console.error(
    unknown === undefined
      ? '--only is suite or xtest'
      : `no build ${unknown} in the matrix; there are ${builds.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}
const say = (text) => console.error(text.trimEnd());

const results = new Map();
if (values.results !== undefined && existsSync(values.results))
  for (const row of JSON.parse(await readFile(values.results, 'utf8'))) results.set(row.name, row);
for (const build of builds.filter(({ name }) => names.includes(name))) {
  const row = await runBuild(build);
  // Keep earlier results of what was not run this time.
  results.set(build.name, values.only === undefined ? row : { ...results.get(build.name), ...row });
  if (values.results !== undefined) await writeFile(values.results, `${JSON.stringify(rows(), null, 2)}\n`);
}
if (values.table !== undefined) await writeFile(values.table, table(rows()));
if (values.json) console.log(JSON.stringify({ builds: rows(), failed: failedOf(rows()) }, null, 2));
else console.log(table(rows()));
process.exitCode = failedOf(rows()) === 0 ? 0 : 1;

function rows() {
  return builds.flatMap(({ name }) => results.get(name) ?? []);
}

function failedOf(all) {
  return all.filter(
    ({ skipped, booted, suite, xtest }) =>
      skipped === undefined && (!booted || (suite?.failed ?? 0) > 0 || (xtest?.failed ?? 0) > 0 || xtest?.ok === false),
  ).length;
}

async function runBuild({ name, what, fetch, build, cpus, xtest, noXtest }) {
  const row = { name, what };
  const found = await find(name, fetch, build);
  if (found.skipped !== undefined) return { ...row, skipped: found.skipped };
  const { folder, suite, version } = found;
  say(`${name}: boot`);
  const environment = {
    NORMALWORLD_OPTEE: folder.path,
    NORMALWORLD_ARM64: clientsOf(suite).path,
    ...(cpus === undefined ? {} : { NORMALWORLD_TEST_CPUS: String(cpus) }),
  };
  const booted = await boot(folder, cpus);
  const told = { ...row, version, ...booted, ...(noXtest === undefined ? {} : { noXtest }) };
  if (!booted.booted) return told;
  if (values.only !== 'xtest') {
    say(`${name}: behaviour suite and regression port`);
    told.suite = await runSuite(environment, say);
  }
  if (values.only === 'suite' || xtest === undefined) return told;
  say(`${name}: xtest`);
  const run = await runXtest({ cases: xtest === true ? [] : xtest, optee: name });
  const failed = run.output.cases.filter(({ ok }) => !ok).map(({ name }) => name);
  return {
    ...told,
    xtest: {
      ...{ ok: run.ok, cases: run.output.cases.length, failed: failed.length, failures: failed },
      ...{ subtests: run.output.counts?.subtests, failedSubtests: run.output.counts?.failedSubtests },
      ...{ seconds: Math.round(run.milliseconds / 1000), ...(xtest === true ? {} : { only: xtest }) },
    },
  };
}

async function find(name, fetch, build) {
  if (fetch !== undefined) {
    const folder = fetchedFolder(fetch);
    if (existsSync(folder.image)) return { folder, suite: fetch, version: name };
    return { skipped: `normalworld optee fetch --suite ${fetch}` };
  }
  const there =
    (await builtOptee(name)) ??
    (values.make ? await buildOptee(optionsOf(build), {}, { say, compiled: () => {} }) : undefined);
  return there ?? { skipped: `normalworld optee build ${build.join(' ')}` };
}

async function boot(folder, cpus) {
  const started = performance.now();
  try {
    const tee = await openTee({
      world: 'qemu',
      taFolders: [folder.trustedApplications],
      qemu: { optee: folder.image, ...(cpus === undefined ? {} : { cpus }) },
    });
    const { threadCount, osRevision } = tee.info;
    await tee.close();
    const revision = `${osRevision.major}.${osRevision.minor}`;
    return { booted: true, bootMs: Math.round(performance.now() - started), revision, threads: threadCount };
  } catch (error) {
    return { booted: false, why: error instanceof Error ? error.message : String(error) };
  }
}
