/**
 * Prints docs/cli.md from the help of the commands. `npm run docs` writes it; a test checks that it is up to date.
 */
import { normalworldProgram } from '../dist/cli/program.js';

console.log(`# The command

In a clone: \`npx normalworld\`. Exit codes of every command: 0 success, 1 failure or a negative result, 2 bad usage or an invalid
file. Reports are coloured only on a terminal, and not if \`NO_COLOR\` is set. This page has the output of \`--help\`; \`npm run
docs\` writes it.
`);
console.log(
  leaves(await normalworldProgram())
    .map(section)
    .join('\n\n'),
);

/** The commands that do something, with their full names. A group that has help of its own is one. */
function leaves(command, path = command.name()) {
  return command.commands.flatMap((inner) => {
    const name = `${path} ${inner.name()}`;
    return inner.commands.length === 0 || help(inner) !== '' ? [{ name, command: inner }] : leaves(inner, name);
  });
}

function section({ name, command }) {
  const { commands, registeredArguments, options } = command;
  const takes = commands.length === 0 ? command.usage() : commands.map((inner) => inner.name()).join('|');
  return [
    `## ${name}`,
    fence('text', `${name} ${takes}`),
    command.description(),
    table([...registeredArguments.map(argumentRow), ...options.map(optionRow)]),
    ...help(command).split(/\n\n+/).map(paragraph),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** What the command says behind its options. */
function help(command) {
  let text = '';
  command.emit('afterHelp', { error: false, command, write: (more) => (text += more) });
  return text.replace(/^\n+|\s+$/g, '');
}

/** A heading with lines under it, or a sentence. */
function paragraph(text) {
  const [first = '', ...lines] = text.split('\n');
  if (lines.length === 0) return text;
  const heading = first.replace(/:$/, '');
  if (!/^Examples?$/.test(heading)) return `${heading}:\n\n${fence('text', dedent(lines))}`;
  return `${heading}:\n\n${fence('sh', dedent(lines).replaceAll(/^\$ /gm, ''))}`;
}

function argumentRow({ required, variadic, description, _name: name }) {
  const dots = variadic ? '...' : '';
  return [required ? `<${name}${dots}>` : `[${name}${dots}]`, description];
}

function optionRow({ flags, description, defaultValue, defaultValueDescription, argChoices, mandatory, negate }) {
  const notes = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(defaultValue === undefined || negate ? [] : [`default ${defaultValueDescription ?? defaultValue}`]),
    ...(mandatory ? ['must be given'] : []),
  ];
  return [flags, notes.length === 0 ? description : `${description} (${notes.join('; ')})`];
}

function table(rows) {
  if (rows.length === 0) return '';
  const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return [
    '| argument or option | |',
    '| --- | --- |',
    ...rows.map(([name, about]) => `| \`${name.replaceAll('|', '\\|')}\` | ${cell(about)} |`),
  ].join('\n');
}

function dedent(lines) {
  return lines.map((line) => line.replace(/^ {2}/, '')).join('\n');
}

function fence(language, text) {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
