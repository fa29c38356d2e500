import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linuxConsole } from '../../bench/linux/boot.js';
import { prepareLinux } from '../../bench/linux/prepare.js';
import { opteeFolder } from '../../dist/worlds/qemu/optee-folder.js';

const silenceLimitMs = 180_000;
const source = (name) => fileURLToPath(new URL(name, import.meta.url));
/** Path of OP-TEE's test plugin, which ours replaces. */
const plugin = '/usr/lib/tee-supplicant/plugins/f07bfc66-958c-4a15-99c0-260e4e7375dd.plugin';

/**
 * Boot Linux once and let init.c execute a schedule.
 * @param {{ kernel: string, client: string, optee?: string, schedule: string, say: (text: string) => void }} options
 * `client` is tee_kernel_client.ko; `optee` an optee.ko in place of the kernel's own.
 * @returns {Promise<Run & { trace: string[] }>}
 * @throws Error if Linux does not reach the end of the schedule.
 */
export async function runSchedule({ kernel, client, optee, schedule, say }) {
  const folder = mkdtempSync(join(tmpdir(), 'normalworld-finding-'));
  const secureConsole = new SecureConsole(join(folder, 'uart'));
  try {
    const file = (name) => join(folder, name);
    writeFileSync(file('schedule'), `${schedule.trim()}\n`);
    execFileSync('aarch64-linux-gnu-gcc', ['-O2', '-shared', '-fPIC', '-o', file('plugin'), source('plugin.c')]);
    await secureConsole.listen();
    const args = await prepareLinux(say, {
      ...{ init: source('init.c'), words: [], kernel, trustedApplications: [opteeFolder().trustedApplications] },
      ...(optee === undefined ? {} : { optee }),
      files: new Map([
        ['/schedule', file('schedule')],
        ['/tee_kernel_client.ko', client],
        [plugin, file('plugin')],
      ]),
      // Only if the schedule uses the console, because an open line causes notifications of its own.
      ...(/^at \d+ console$/m.test(schedule) ? { secureUart: ['-serial', `unix:${secureConsole.path}`] } : {}),
    });
    const outcomes = new Map();
    const trace = [];
    for await (const line of linuxConsole(args, silenceLimitMs)) {
      const [, word, rest = ''] = /^@(\w+) ?(.*)$/.exec(line) ?? [];
      const [number, begin, end, result] = rest.split(' ').map(Number);
      if (word === 'done') break;
      if (word === 'type') secureConsole.type();
      if (word === 'trace') trace.push(rest);
      if (word === 'did') outcomes.set(number, { begin, end, result });
      if (word === 'still') outcomes.set(number, { begin, end: undefined, result: 0 });
    }
    return {
      of: (name, which = 0) => outcomeOf(schedule, outcomes, name, which),
      answers: secureConsole.answers,
      trace,
    };
  } finally {
    await secureConsole.close();
    rmSync(folder, { recursive: true });
  }
}

function outcomeOf(schedule, outcomes, name, which) {
  const lines = schedule.trim().split('\n');
  const numbers = lines.flatMap((line, index) => (new RegExp(`^at \\d+ ${name}\\b`).test(line) ? [index + 1] : []));
  const outcome = outcomes.get(numbers[which]);
  if (numbers[which] === undefined) throw new Error(`the schedule has no action ${which} of ${name}`);
  // Its caller never executed it.
  if (outcome === undefined) return { begin: undefined, end: undefined, result: 0 };
  if (outcome.result !== 0) throw new Error(`"${lines[numbers[which] - 1]}" ended with errno ${outcome.result}`);
  return outcome;
}

/**
 * OP-TEE's console, a socket that QEMU connects to: sends a key, and measures the time until OP-TEE acknowledges it.
 */
class SecureConsole {
  answers = [];
  #socket;
  #typed;
  #text = '';
  #server = createServer((socket) => {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text) => this.#said(text));
    socket.on('error', () => undefined);
  });

  constructor(path) {
    this.path = path;
  }

  listen() {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(this.path, resolve);
    });
  }

  type() {
    this.#typed = performance.now();
    this.#text = '';
    this.#socket?.write('x');
  }

  #said(text) {
    this.#text += text;
    if (this.#typed === undefined || !/got 0x78/.test(this.#text)) return;
    this.answers.push(performance.now() - this.#typed);
    this.#typed = undefined;
  }

  async close() {
    this.#socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
