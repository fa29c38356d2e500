/** One check, as a test case of JUnit XML. */
export interface TestCase {
  readonly name: string;
  /** Duration in seconds. */
  readonly seconds: number;
  /** The failure: a one-line message, and the full text. */
  readonly failure?: { readonly message: string; readonly text: string };
}

/** Checks as JUnit XML, the format that continuous integration servers read. */
export function junitReport(suite: string, cases: readonly TestCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const lines = cases.map(({ name, seconds, failure }) => {
    const begin = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" time="${seconds.toFixed(3)}"`;
    return failure === undefined
      ? `${begin}/>`
      : `${begin}>\n      <failure message="${escaped(failure.message)}">${escaped(failure.text)}</failure>\n    </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="${escaped(suite)}" tests="${cases.length}" failures="${failures}" errors="0">`,
    ...lines,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/** Most control characters are not allowed in XML, not even escaped. */
function escaped(text: string): string {
  return [...text]
    .map((letter) => {
      const code = letter.codePointAt(0) ?? 0;
      if (code < 0x20 && code !== 0x09 && code !== 0x0a) return '\ufffd';
      return code === 0xfffe || code === 0xffff ? '\ufffd' : letter;
    })
    .join('')
    .replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
