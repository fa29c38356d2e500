#!/usr/bin/env node
import { Command } from 'commander';
import { addConformCommand } from './conform.js';

const program = new Command('normalworld').description('The OP-TEE driver of Linux in TypeScript');
addConformCommand(program);
await program.parseAsync();
