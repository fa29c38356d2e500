import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderSync } from '../../files/make-folder.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { writeWholeSync } from '../../files/write-whole.js';
import type { Step } from '../input/grammar.js';
import { type FindingFile, findingText, parseFinding } from './finding-file.js';
import type { Reproduction } from './reproduce.js';
import type { Target } from './target.js';
import type { Verdict } from './verdict.js';

/** A summary of a finding, for lists. */
export interface KnownFinding {
  readonly kind: string;
  readonly signature: string;
  readonly folder: string;
  /** How often it occurred in this run. */
  times: number;
}

const fileName = 'finding.json';

/**
 * The findings in a folder. Each signature has a folder of its own, with a file to reproduce it, a report and the
 * console's output.
 */
export class Findings {
  private readonly known = new Map<string, KnownFinding>();

  private constructor(readonly folder: string) {}

  /** Open a folder, with the findings of earlier runs. @throws the system's error if the folder cannot be created. */
  static open(folder: string): Findings {
    makeFolderSync(folder);
    const findings = new Findings(folder);
    for (const name of readdirSync(folder)) {
      try {
        const { kind, signature } = parseFinding(readRegularFileSync(join(folder, name, fileName)).toString());
        findings.known.set(signature, { kind, signature, folder: join(folder, name), times: 0 });
      } catch {
        // A foreign file, or one that is not completely written.
      }
    }
    return findings;
  }

  get all(): readonly KnownFinding[] {
    return [...this.known.values()];
  }

  /** Count a verdict. @returns whether its signature is new. */
  meets({ kind, signature }: Verdict): boolean {
    const known = this.known.get(signature);
    if (known !== undefined) {
      known.times++;
      return false;
    }
    const hash = createHash('sha256').update(signature).digest('hex').slice(0, 8);
    this.known.set(signature, { kind, signature, folder: join(this.folder, `${kind}-${hash}`), times: 1 });
    return true;
  }

  write(target: Target, on: string, { recipe, verdict, came }: Reproduction): KnownFinding | undefined {
    const known = this.known.get(verdict.signature);
    if (known === undefined) return undefined;
    const { before, input } = recipe;
    const file: FindingFile = {
      target: { name: target.name, ...(target.uuid === undefined ? {} : { uuid: target.uuid }) },
      ...{ on, kind: verdict.kind, signature: verdict.signature, came, before, steps: input.steps },
    };
    makeFolderSync(known.folder);
    if (verdict.console !== undefined) writeWholeSync(join(known.folder, 'console.txt'), `${verdict.console}\n`);
    writeWholeSync(
      join(known.folder, 'report.md'),
      report(file, verdict, (step) => target.describe(step)),
    );
    // Written last: a folder with this file is complete.
    writeWholeSync(join(known.folder, fileName), findingText(file));
    return known;
  }
}

function report(file: FindingFile, verdict: Verdict, describe: (step: Step) => string): string {
  const { times, tries } = file.came;
  const listed = (steps: readonly Step[]) => steps.map((step, index) => `${index + 1}. ${describe(step)}`);
  const again =
    times === 0
      ? 'It did not occur again when the same inputs were executed on a fresh target: the cause may be earlier.'
      : `It occurred ${times} of ${tries} times on a fresh target.`;
  return [
    `# ${verdict.what}`,
    '',
    `On ${file.on}, target ${file.target.name}${file.target.uuid === undefined ? '' : ` ${file.target.uuid}`}. ${again}`,
    '',
    `Signature: \`${verdict.signature}\``,
    '',
    ...(file.before.length === 0
      ? []
      : [`Before it, ${file.before.length} other inputs were executed; they are in ${fileName}.`, '']),
    'Steps:',
    '',
    ...listed(file.steps),
    '',
    'Repeat: `normalworld replay finding.json`',
    '',
    ...(verdict.console === undefined ? [] : ['The secure console:', '', '```text', verdict.console, '```', '']),
  ].join('\n');
}
