import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'normalworld-completion-'));
const has = (shell: string) => spawnSync(shell, ['--version']).status === 0;

/** What a shell offers for words of a command line, the last of which may have only begun. */
type Complete = (...words: string[]) => readonly string[];

beforeAll(() => {
  symlinkSync(main, join(folder, 'normalworld'));
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'completion', shell], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    writeFileSync(join(folder, shell), stdout);
  }
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** What a shell's script prints, one candidate a line. */
function lines(program: string, script: string, words: readonly string[]): readonly string[] {
  const env = { ...process.env, HOME: folder, TERM: 'dumb', PATH: `${folder}:${process.env.PATH}` };
  const { status, stdout, stderr } = spawnSync(program, ['-c', script, program, ...words], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(status, stderr).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

const bash: Complete = (...words) =>
  lines(
    'bash',
    `source ./bash; COMP_WORDS=(normalworld "$@"); COMP_CWORD=$#; _normalworld; printf '%s\\n' "\${COMPREPLY[@]}"`,
    words,
  );

/** An interactive zsh on a pseudo-terminal, to which the words and a tab are typed; it shows what it made of them. */
const zsh: Complete = (...words) =>
  lines(
    'zsh',
    `zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell 'PROMPT= RPROMPT= ; unset zle_bracketed_paste; LISTMAX=0; autoload -U compinit; compinit -u; source ./zsh'
    zpty -w shell 'show() { print -r -- "<\${BUFFER}>"; exit }; zle -N show; bindkey "^X" show; print ready''!'
    zpty -r shell seen '*ready!*'
    zpty -n -w shell "normalworld $*"$'\\t\\x18'
    zpty -r shell seen '*<*>*'
    line=\${seen##*<}
    print -r -- \${\${line%%>*}##* }`,
    words,
  ).map((word) => word.trim());

const fish: Complete = (...words) =>
  lines('fish', `source ./fish; complete -C "normalworld ${words.join(' ')}"`, []).map(
    (line) => line.split('\t')[0] ?? '',
  );

const shells: readonly (readonly [string, Complete])[] = [
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
];

describe.each(shells)('completion in %s', (shell, complete) => {
  const there = has(shell);
  const completes = there ? 'completes' : `completes (skipped: no ${shell}: apt-get install ${shell})`;
  it.skipIf(!there)(`${completes} commands, their subcommands and options`, () => {
    expect(complete('tra')).toEqual(['trace']);
    expect(complete('trace', 'exp')).toEqual(['export']);
    expect(complete('trace', 'export', '--f')).toEqual(['--format']);
    expect(complete('run', '--q')).toEqual(['--queue']);
    expect(complete('optee', 'ta', 'l')).toEqual(['list']);
  });

  it.skipIf(!there)(`${completes} the values of options, and files`, () => {
    expect(complete('run', '--queue', 'patch')).toEqual(['patch-v6']);
    expect(complete('trace', 'export', '--format', 'p')).toEqual(['perfetto']);
    // zsh completes files by itself, and not in this shell.
    if (shell !== 'zsh') expect(complete('run', 'fi')).toContain('fish');
  });
});
