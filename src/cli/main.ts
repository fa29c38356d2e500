#!/usr/bin/env node
import { normalworldProgram } from './program.js';

await normalworldProgram().parseAsync();
