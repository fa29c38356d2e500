#!/usr/bin/env node
import { CommanderError } from 'commander';
import { badUsage } from './output/exit-code.js';
import { guardOutput } from './output/guard-output.js';
import { OutputError } from './output/write-output.js';
import { normalworldProgram } from './program.js';

guardOutput();
try {
  await (await normalworldProgram(process.argv[2])).parseAsync();
} catch (error) {
  if (error instanceof OutputError) console.error(`error: ${error.message}`);
  else if (!(error instanceof CommanderError)) throw error;
  // The error was printed already. Set the exit code instead of exiting, so that pending output is written.
  process.exitCode = error instanceof CommanderError && error.exitCode === 0 ? 0 : badUsage;
}
