/** A piece of code that a page of the documentation shows. */
export interface Block {
  /** The language of the fence; `sh` when it is indented instead. */
  readonly language: string;
  readonly text: string;
  /** Number of its first line, from 1. */
  readonly line: number;
  /** What an excerpt of a program leaves out: the comment `<!-- before: ... -->` ahead of it, which no reader sees. */
  readonly before: string;
  /** The file that it is, when its first line is a comment that says so: `# my.yaml`, `// my-ta.js`. */
  readonly file: string | undefined;
}

/** The code of a page, in order. */
export function blocks(markdown: string): Block[] {
  const found: Block[] = [];
  const code =
    /(?:^<!-- before:\n(?<before>.*?)^-->\n+)?^```(?<language>\w*)\n(?<fenced>.*?)^```$|^(?<indented>(?: {4}\S[^\n]*\n)+)/gms;
  for (const { groups = {}, index, 0: whole } of markdown.matchAll(code)) {
    const text = groups.fenced ?? (groups.indented ?? '').replaceAll(/^ {4}/gm, '');
    const start = index + (groups.fenced === undefined ? 0 : whole.lastIndexOf(`\`\`\`${groups.language}\n`) + 1);
    found.push({
      language: groups.indented === undefined ? (groups.language ?? '') : 'sh',
      text,
      line: markdown.slice(0, start).split('\n').length,
      before: groups.before ?? '',
      file: /^(?:#|\/\/) ([\w-]+\.\w+)$/m.exec(text.split('\n')[0] ?? '')?.[1],
    });
  }
  return found;
}
