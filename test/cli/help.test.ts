import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, CommanderError } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { normalworldProgram } from '../../src/cli/program.js';

const root = resolve(import.meta.dirname, '../..');
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 30_000 });

/** Every command that does something, with the words that lead to it. */
function leaves(command: Command, words: readonly string[] = []): { words: readonly string[]; command: Command }[] {
  return command.commands.flatMap((inner) => {
    const path = [...words, inner.name()];
    return inner.commands.length > 0 ? leaves(inner, path) : [{ words: path, command: inner }];
  });
}

const commands = leaves(await normalworldProgram()).map(({ words, command }) => ({
  name: words.join(' '),
  words,
  command,
}));

describe('the command', () => {
  it.each(commands.filter(({ name }) => !name.startsWith('completion ')))(
    '$name documents its exit codes, with examples',
    ({ command, name }) => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toMatch(/^Exit codes:\n( {2}[\d*] {2}\S.*\n)+/m);
      expect(help).toMatch(/^Examples?:\n( {2}\$ \S.*\n)+/m);
      expect(help).toContain(`$ normalworld ${name}`);
    },
  );

  // That main.ts makes exit code 2 of it is tested with whole processes in mistakes.test.ts.
  it.each(commands)('$name reports wrong usage', async ({ words }) => {
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      const misused = (await normalworldProgram()).parseAsync([...words, '--no-such-option'], { from: 'user' });
      await expect(misused).rejects.toThrow(CommanderError);
      expect(String(said.mock.calls[0]?.[0])).toMatch(/^error: (unknown option '--no-such-option'|required option)/);
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('has an up-to-date page of all help texts (npm run docs writes it)', () => {
    const { status, stdout, stderr } = node('docs/cli-page.js');
    expect(status, stderr).toBe(0);
    expect(readFileSync(resolve(root, 'docs/cli.md'), 'utf8')).toBe(stdout);
    for (const { name } of commands.filter(({ words }) => words[0] !== 'completion'))
      expect(stdout).toContain(`\n## normalworld ${name}\n`);
  });
});
