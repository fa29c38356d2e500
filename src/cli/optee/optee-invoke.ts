import { once } from 'node:events';
import type { Command } from 'commander';
import { memrefSizes } from '../../client/memref-sizes.js';
import type { Parameters, Value } from '../../client/parameters.js';
import { TeecError } from '../../tee/teec-error.js';
import { addDeviceOption, addOpteeOptions, type OpteeOptions, onOptee, opteeExitCodes } from '../open/optee-options.js';
import { tellFailure } from '../output/failure.js';
import { refuseInputAsOutput, writeOutput } from '../output/write-output.js';
import { type OperationArgument, operationArgumentForms, parseOperationArgument } from './operation-argument.js';

const maxParameters = 4;

/** `normalworld optee invoke UUID COMMAND [PARAMETER...]`. */
export function addInvokeCommand(optee: Command): void {
  const command = optee
    .command('invoke')
    .summary('invoke a command of a trusted application')
    .description('Boots OP-TEE, opens a session with a trusted application, invokes a command, and prints the result.')
    .argument('<uuid>', 'the trusted application')
    .argument('<command>', "the command's number")
    .argument('[parameters...]', 'see below')
    .option('--repeat <times>', 'number of invokes in the same session (default: 1)')
    .addHelpText(
      'after',
      `
${operationArgumentForms}
${opteeExitCodes}

Examples:
  $ normalworld optee invoke d96a5b40-c3e5-21e3-8794-1002a5d5c61b 1 value.inout=40,2
  $ normalworld optee invoke 5b9e0e40-2636-11e1-ad9e-0002a5d5c51b 18 value.output --json | jq '.parameters[0].a'`,
    );
  addDeviceOption(addOpteeOptions(command))
    .option('--json', 'print one JSON object')
    .action(
      async (
        uuid: string,
        commandText: string,
        texts: string[],
        options: OpteeOptions & { readonly repeat?: string },
      ) => {
        let asked: Invocation;
        try {
          asked = await parseInvocation(commandText, texts, options.repeat ?? '1');
        } catch (error) {
          tellFailure(error);
          return;
        }
        await onOptee(options, async (tee) => {
          const { command, operation, times } = asked;
          await using context = tee.openContext();
          await using session = await context.openSession(uuid);
          if (options.gdb !== undefined) await attached();
          for (let time = 0; time < times; time++) {
            const parameters = operation.map(({ parameter }) => parameter) as unknown as Parameters;
            try {
              await tell(operation, await session.invoke(command, parameters), undefined, options);
            } catch (error) {
              if (error instanceof TeecError && error.outputs !== undefined)
                await tell(operation, error.outputs, error, options);
              throw error;
            }
          }
        });
      },
    );
}

/** Wait for gdb: the application is loaded now, so its address is known. */
async function attached(): Promise<void> {
  console.error(
    'the session is open. Elsewhere: gdb-multiarch -x normalworld.gdb; set breakpoints, continue; then press Enter here',
  );
  await once(process.stdin, 'data');
  process.stdin.pause();
}

/** A parsed command line. */
interface Invocation {
  readonly command: number;
  readonly times: number;
  readonly operation: readonly OperationArgument[];
}

/** @throws RangeError, or the system's error, if the command line is invalid. */
async function parseInvocation(commandText: string, texts: readonly string[], repeat: string): Promise<Invocation> {
  if (texts.length > maxParameters) throw new RangeError(`${texts.length} parameters, at most ${maxParameters}`);
  const command = /^(0x[0-9a-f]+|\d+)$/i.test(commandText) ? Number(commandText) : Number.NaN;
  if (!(command <= 0xffff_ffff))
    throw new RangeError(`command "${commandText}" is not an integer from 0 to 0xffffffff`);
  const times = /^\d+$/.test(repeat) ? Number(repeat) : Number.NaN;
  if (!(times >= 1 && Number.isSafeInteger(times))) throw new RangeError(`--repeat ${repeat} is not an integer from 1`);
  const operation = await Promise.all(texts.map(parseOperationArgument));
  const inputs = operation.flatMap(({ input }) => input ?? []);
  for (const { file } of operation) if (file !== undefined) refuseInputAsOutput(file, inputs);
  return { command, times, operation };
}

/**
 * Print the outputs of the parameters.
 * @param failed the error of the call, if it failed.
 */
async function tell(
  operation: readonly OperationArgument[],
  outputs: readonly unknown[],
  failed: TeecError | undefined,
  options: OpteeOptions,
) {
  const inputs = operation.flatMap(({ input }) => input ?? []);
  const sizes = memrefSizes(outputs);
  const told: unknown[] = [];
  for (const [index, output] of outputs.entries()) {
    const file = operation[index]?.file;
    const size = sizes[index];
    // A size larger than the buffer is the required size, whatever the result.
    const needed = output instanceof Uint8Array && size !== undefined && size > output.length ? size : undefined;
    if (output instanceof Uint8Array && file !== undefined) writeOutput(file, inputs, [output]);
    told.push(
      output instanceof Uint8Array
        ? {
            bytes: output.length,
            ...(file === undefined ? { hex: hex(output) } : { file }),
            ...(needed === undefined ? {} : { needed }),
          }
        : output,
    );
    if (options.json || output === undefined) continue;
    console.log(
      `parameter ${index}: ${inWords(output, file)}${needed === undefined ? '' : `; ${needed} bytes are needed`}`,
    );
  }
  if (options.json) {
    const error =
      failed === undefined ? {} : { error: { name: failed.codeName, code: failed.code, origin: failed.origin } };
    console.log(JSON.stringify({ parameters: told.map((output) => output ?? null), ...error }));
  }
}

function inWords(output: unknown, file: string | undefined): string {
  if (output instanceof Uint8Array)
    return file === undefined ? `${output.length} bytes ${hex(output)}` : `${output.length} bytes to ${file}`;
  const { a, b } = output as Value;
  return `a = ${a} (0x${a.toString(16)}), b = ${b} (0x${b.toString(16)})`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
