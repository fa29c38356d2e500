#!/usr/bin/env node
import { Command } from 'commander';
import { addConformCommand } from './conform.js';
import { addExploreCommand } from './explore.js';
import { addReplayCommand } from './replay.js';

const program = new Command('normalworld').description('The OP-TEE driver of Linux in TypeScript');
addConformCommand(program);
addExploreCommand(program);
addReplayCommand(program);
await program.parseAsync();
