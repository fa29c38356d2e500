#!/usr/bin/env node
import { Command } from 'commander';
import { addConformCommand } from './conform.js';
import { addDoctorCommand } from './doctor.js';
import { addExecCommand } from './exec.js';
import { addExploreCommand } from './explore.js';
import { addOpteeCommand } from './optee.js';
import { addReplayCommand } from './replay.js';
import { addRunCommand } from './run.js';
import { addServeCommand } from './serve.js';
import { addTopCommand } from './top.js';
import { addTraceCommand } from './trace.js';
import { addViewCommand } from './view.js';
import { addXtestCommand } from './xtest.js';

const program = new Command('normalworld').description('The OP-TEE driver of Linux in TypeScript');
addRunCommand(program);
addExploreCommand(program);
addReplayCommand(program);
addViewCommand(program);
addTraceCommand(program);
addTopCommand(program);
addConformCommand(program);
addOpteeCommand(program);
addServeCommand(program);
addExecCommand(program);
addXtestCommand(program);
addDoctorCommand(program);
await program.parseAsync();
