/**
 * The command that runs a program so that it cannot outlive this process: the kernel kills it when the thread that
 * started it ends (PR_SET_PDEATHSIG, set by setpriv), also if that is killed. The parent may end before the signal is
 * set, so a shell compares its parent's id before it executes the program.
 * @returns program and arguments, for `spawn`.
 */
export function endWithParent(program: string, args: readonly string[]): readonly [string, string[]] {
  const check = '[ "$PPID" = "$0" ] && exec "$@"';
  return ['setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', check, String(process.pid), program, ...args]];
}
