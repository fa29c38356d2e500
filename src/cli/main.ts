#!/usr/bin/env node
import { Command } from 'commander';
import { addConformCommand } from './conform.js';
import { addDoctorCommand } from './doctor.js';
import { addOpteeCommand } from './optee.js';

const program = new Command('normalworld').description('The OP-TEE driver of Linux in TypeScript');
addConformCommand(program);
addOpteeCommand(program);
addDoctorCommand(program);
await program.parseAsync();
