import { type Command, Option } from 'commander';

/** A command with its words, found by the path of names that leads to it. */
interface Completion {
  /** `trace export`; empty for the program. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly Option[];
}

export function addCompletionCommand(program: Command): void {
  const shells = { bash: bashScript, zsh: zshScript, fish: fishScript };
  const completion = program
    .command('completion')
    .summary('complete commands and options in your shell')
    .description('Prints a script that completes the commands and options of normalworld in a shell.')
    .addHelpText(
      'after',
      `
Exit codes:
  0  done
  2  bad usage

Examples:
  $ normalworld completion bash >> ~/.bashrc
  $ normalworld completion zsh >> ~/.zshrc
  $ normalworld completion fish > ~/.config/fish/completions/normalworld.fish`,
    );
  for (const [shell, script] of Object.entries(shells))
    completion
      .command(shell)
      .description(`the script for ${shell}`)
      .action(() => console.log(script(program.name(), completions(program))));
}

function completions(command: Command, path = ''): Completion[] {
  const help = new Option('-h, --help', 'display help');
  const inner = command.commands.flatMap((each) =>
    completions(each, path === '' ? each.name() : `${path} ${each.name()}`),
  );
  const commands = command.commands.map((each) => ({ name: each.name(), about: each.summary() || each.description() }));
  return [{ path, commands, options: [...command.options, help] }, ...inner];
}

const flagsOf = ({ long, short }: Option) => [long, short].filter((flag) => flag !== undefined);

function bashScript(name: string, all: readonly Completion[]): string {
  const paths = all.map(({ path }) => `"${path}"`).join('|');
  const cases = all.map(({ path, commands, options }) => {
    const words = [...commands.map((each) => each.name), ...options.flatMap(flagsOf)].join(' ');
    return `    "${path}") words="${words}" ;;`;
  });
  return `_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" next index
  for ((index = 1; index < COMP_CWORD; index++)); do
    next="\${path:+$path }\${COMP_WORDS[index]}"
    case "$next" in ${paths}) path="$next" ;; esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  # Files where no word fits: most commands take some.
  [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _${name} ${name}`;
}

function zshScript(name: string, all: readonly Completion[]): string {
  return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(name, all)}`;
}

function fishScript(name: string, all: readonly Completion[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = all.flatMap(({ path, commands, options }) => {
    const seen = path.split(' ').filter((word) => word !== '');
    const notDeeper = commands.map((each) => each.name).join(' ');
    const conditions = [
      ...seen.map((word) => `__fish_seen_subcommand_from ${word}`),
      ...(seen.length === 0
        ? ['__fish_use_subcommand']
        : notDeeper === ''
          ? []
          : [`not __fish_seen_subcommand_from ${notDeeper}`]),
    ];
    const start = `complete -c ${name} -n ${quote(conditions.join('; and '))}`;
    return [
      ...commands.map((each) => `${start} -a ${each.name} -d ${quote(each.about)}`),
      ...options.map(({ long, short, description }) => {
        const flags = [long && `-l ${long.slice(2)}`, short && `-s ${short.slice(1)}`].filter(Boolean).join(' ');
        return `${start} ${flags} -d ${quote(description)}`;
      }),
    ];
  });
  return lines.join('\n');
}
