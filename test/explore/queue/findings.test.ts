import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addExploreCommand } from '../../../src/cli/explore/explore.js';

const FINDINGS = readFileSync(fileURLToPath(new URL('../../../docs/findings.md', import.meta.url)), 'utf8');

/** Each command of the document, with the text of the section that it stands in. */
const COMMANDS = FINDINGS.split(/^## /m).flatMap((section) =>
  [...section.matchAll(/^ {4}normalworld (explore .*)$/gm)].map(([, command]) => ({ command: command ?? '', section })),
);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the document of findings', () => {
  it('has commands', () => {
    expect(COMMANDS.length).toBeGreaterThan(8);
  });

  it.each(COMMANDS)('is right about $command', async ({ command, section }) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const program = new Command();
    addExploreCommand(program);
    await program.parseAsync([...command.split(/\s+/).map((word) => word.replaceAll("'", '')), '--json'], {
      from: 'user',
    });
    const { properties } = JSON.parse(log.mock.calls[0]?.[0]);
    const [, name = ''] = /^`(\w+)`,/m.exec(section) ?? [];
    expect(properties[name]).toMatchObject({ verdict: 'broken' });
    const { steps, repeatsFrom } = properties[name];
    const words = section.replaceAll(/\s+/g, ' ');
    if (repeatsFrom === undefined) expect(words).toMatch(new RegExp(`\\b${steps}( steps|,| since)`));
    else expect(words).toContain(`a prefix of ${repeatsFrom} steps and a cycle of ${steps - repeatsFrom}`);
  });
});
