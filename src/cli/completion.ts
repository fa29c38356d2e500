import { type Command, Option } from 'commander';

/** A command with its subcommands and options, identified by its path. */
interface Completion {
  /** `trace export`; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly Option[];
  /** It takes file arguments. */
  readonly files: boolean;
}

export function addCompletionCommand(program: Command): void {
  const shells = { bash: bashScript, zsh: zshScript, fish: fishScript };
  const completion = program
    .command('completion')
    .summary('print a completion script for your shell')
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
  const files = command.registeredArguments.length > 0;
  return [{ path, commands, options: [...command.options, help], files }, ...inner];
}

const flagsOf = ({ long, short }: Option) => [long, short].filter((flag) => flag !== undefined);

function bashScript(name: string, all: readonly Completion[]): string {
  const paths = all.map(({ path }) => `"${path}"`).join('|');
  const cases = all.map(({ path, commands, options, files }) => {
    const words = commands.map((each) => each.name).join(' ');
    const flags = options.flatMap(flagsOf).join(' ');
    return `    "${path}") words="${words}" flags="${flags}" files=${files ? 'yes' : ''} ;;`;
  });
  const values = all.flatMap(({ path, options }) =>
    options.flatMap((option) => flagsOf(option).flatMap((flag) => valuesCase(path, flag, option))),
  );
  return `_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" flags="" files="" values="" next index
  for ((index = 1; index < COMP_CWORD; index++)); do
    next="\${path:+$path }\${COMP_WORDS[index]}"
    case "$next" in ${paths}) path="$next" ;; esac
  done
  case "$path $before" in
${values.join('\n')}
  esac
  case "$path" in
${cases.join('\n')}
  esac
  if [[ $values == files ]]; then COMPREPLY=($(compgen -f -- "$current"))
  elif [[ -n $values ]]; then COMPREPLY=($(compgen -W "$values" -- "$current"))
  elif [[ $current == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $files ]]; then COMPREPLY=($(compgen -f -- "$current"))
  else COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o filenames -F _${name} ${name}`;
}

/** Possible values of an option: its choices, or a file name if any value is accepted. */
function valuesCase(path: string, flag: string, { argChoices, required, optional }: Option): string[] {
  if (argChoices !== undefined) return [`    "${path} ${flag}") values="${argChoices.join(' ')}" ;;`];
  return required || optional ? [`    "${path} ${flag}") values=files ;;`] : [];
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
      ...options.map(({ long, short, description, argChoices }) => {
        const flags = [long && `-l ${long.slice(2)}`, short && `-s ${short.slice(1)}`].filter(Boolean).join(' ');
        return `${start} ${flags}${argChoices === undefined ? '' : ` -x -a ${quote(argChoices.join(' '))}`} -d ${quote(description)}`;
      }),
    ];
  });
  return lines.join('\n');
}
