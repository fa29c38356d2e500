#!/usr/bin/env node
import { Command } from 'commander';
import { addConformCommand } from './conform.js';
import { addRunCommand } from './run.js';

const program = new Command('normalworld').description('The OP-TEE driver of Linux in TypeScript');
addRunCommand(program);
addConformCommand(program);
await program.parseAsync();
