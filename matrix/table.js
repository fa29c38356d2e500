/** The results as Markdown: one row per build, then exceptions with their reasons. */
export function table(rows) {
  const lines = [
    '| OP-TEE | name | boots in | suite, passed / failed | xtest, cases / failed (subtests) |',
    '| --- | --- | ---: | ---: | ---: |',
  ];
  for (const row of rows) lines.push(`| ${row.what} | ${row.name} | ${cells(row).join(' | ')} |`);
  const notes = rows.flatMap((row) => notesOf(row).map((note) => `- ${row.what}: ${note}`));
  return `${[...lines, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n')}\n`;
}

function cells({ skipped, booted, bootMs, suite, xtest }) {
  if (skipped !== undefined) return ['not there', '', ''];
  if (!booted) return ['does not', '', ''];
  return [
    `${bootMs} ms`,
    suite === undefined ? '' : `${suite.passed} / ${suite.failed}`,
    xtest === undefined ? '' : `${xtest.cases} / ${xtest.failed} (${xtest.subtests})`,
  ];
}

function notesOf({ skipped, booted, why, suite, xtest, noXtest }) {
  if (skipped !== undefined) return [`to be had with \`${skipped}\``];
  if (!booted) return [why.split('\n')[0]];
  return [
    ...(suite?.exceptions ?? []).map(
      ({ tests, cause }) => `${tests} ${tests === 1 ? 'test' : 'tests'} not run: ${cause}`,
    ),
    ...(suite?.failures ?? []).map(({ test, says }) => `failed: ${test}: ${says}`),
    ...(xtest?.only === undefined ? [] : [`xtest: ${xtest.only.join(' ')}`]),
    ...(xtest?.failures ?? []).map((name) => `xtest failed: ${name}`),
    ...(noXtest === undefined ? [] : [`no xtest: ${noXtest}`]),
  ];
}
