import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleLine, openTee, type Tee, type TeecError } from '../../src/index.js';
import { ConsoleLog } from '../../src/ta/index.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { command, TaProject, whyNoKit } from './ta-project.js';

const commands = `
static int __attribute__((noinline)) read_from(volatile int *where)
{
	return *where; /* the line of the abort */
}

static inline __attribute__((always_inline)) void give_up(uint32_t code)
{
	TEE_Panic(code); /* the line of the panic */
	asm volatile("");
}

static uint32_t __attribute__((noinline)) overflow(uint32_t depth)
{
	volatile uint8_t room[512];

	room[depth % sizeof(room)] = depth;
	return depth == 0 ? 0 : overflow(depth - 1) + room[0];
}

static void __attribute__((noinline)) die(uint32_t code)
{
	EMSG("about to die");
	give_up(code);
	asm volatile("");
}
`;

describe.skipIf(whyNoKit !== undefined)(onRealOptee('the panic or abort of a trusted application'), () => {
  let project: TaProject;
  let tee: Tee;
  const lines: ConsoleLine[] = [];
  const log = new ConsoleLog({ modules: ['TA'], level: 'error' });
  beforeAll(async () => {
    project = await TaProject.make('mortal');
    project.edit('TEE_Result TA_CreateEntryPoint', `${commands}\nTEE_Result TA_CreateEntryPoint`);
    project.edit(
      'default:',
      'case 7:\n\t\tdie(0x4711);\n\t\treturn TEE_SUCCESS;\n\tcase 8:\n\t\treturn read_from((int *)0x123450) + 1;\n\tcase 9:\n\t\treturn overflow(1000);\n\tdefault:',
    );
    await project.build();
    tee = await openTee({
      world: 'qemu',
      taFolders: [join(project.folder, 'build/ta')],
      qemu: {
        onConsoleLine: (line) => {
          lines.push(line);
          log.add(line);
        },
      },
    });
  });
  afterAll(async () => {
    await tee?.close();
    project?.[Symbol.dispose]();
  });

  const death = async (number: number): Promise<TeecError> => {
    const session = await tee.openContext().openSession(project.uuid);
    lines.length = 0;
    return session.invoke(number).then(
      () => expect.fail('it lives'),
      (error: TeecError) => error,
    );
  };

  it('is an error with code, functions and lines for a panic, including inlined functions', async () => {
    const error = await death(7);
    expect(error.codeName).toBe('TEEC_ERROR_TARGET_DEAD');
    expect(error.panic).toMatchObject({ uuid: project.uuid, kind: 'panic', code: 0x4711 });
    const frames = error.panic?.callStack?.flatMap(({ frames }) => frames) ?? [];
    expect(frames.map((frame) => frame.function)).toEqual(
      expect.arrayContaining(['give_up', 'die', 'TA_InvokeCommandEntryPoint']),
    );
    expect(frames.find((frame) => frame.function === 'give_up')).toMatchObject({
      file: expect.stringMatching(/mortal_ta\.c$/),
      line: expect.any(Number),
    });
    const [first, ...stack] = error.message.split('\n');
    expect(first).toMatch(
      / \(the application panicked with code 0x4711\): TEEC_ERROR_TARGET_DEAD \(0xffff3024, origin \w+\)$/,
    );
    expect(stack[0]).toBe('call stack:');
    expect(stack[1]).toMatch(
      /^ {2}0x[0-9a-f]+ give_up at \S*mortal_ta\.c:\d+, inlined into die at \S*mortal_ta\.c:\d+$/,
    );
    // The dump of the console is not repeated, but kept.
    expect(error.message).not.toMatch(/region|E\/LD|E\/TC/);
    expect(stack).toHaveLength(1 + (error.panic?.callStack?.length ?? 0));
    expect(error.panic?.console).toContainEqual(expect.stringMatching(/region +0: va/));
  });

  it('is an error with address, registers, functions and lines for an abort', async () => {
    const error = await death(8);
    expect(error.panic).toMatchObject({ kind: 'abort', address: 0x123450n });
    expect(error.panic?.registers).toMatchObject({ x0: 0x123450n, esr: expect.any(BigInt) });
    expect(error.panic?.callStack?.[0]?.frames[0]).toMatchObject({ function: 'read_from' });
    expect(error.message).toContain('the application aborted at address 0x123450');
    expect(error.message).not.toContain('overflown');
    expect(error.message).toMatch(/read_from at \S*mortal_ta\.c:\d+/);
  });

  it('is reported as a stack overflow if it is one', async () => {
    const error = await death(9);
    expect(error.panic).toMatchObject({ kind: 'abort' });
    expect(error.message).toMatch(/its stack of 4096 bytes has overflown \(TA_STACK_SIZE/);
    expect(error.message).toMatch(/overflow at \S*mortal_ta\.c:\d+/);
  });

  it('has been printed on the console when the call returns', async () => {
    log.take();
    await death(7);
    const said = lines.map(({ text }) => text).join('\n');
    expect(said).toContain('TA panicked with code 0x4711');
    expect(said).toContain('Call stack:');
    expect(log.take()).toEqual([expect.stringContaining('about to die')]);
    await tee.consoleIdle();
    expect(log.take()).toEqual([]);
  });

  it('is recognised by optee symbolize in any console text', async () => {
    await death(8);
    for (const prefix of ['', 'Oct 12 10:00:01 board secure: ']) {
      const text = lines.map((line) => `${prefix}${line.text}`).join('\r\n');
      const { stdout, status } = spawnSync(
        process.execPath,
        [command, 'optee', 'symbolize', '--ta-elf', join(project.folder, 'build/ta')],
        { input: text, encoding: 'utf8' },
      );
      expect(status).toBe(0);
      expect(stdout).toMatch(/0x[0-9a-f]+ read_from at \S*mortal_ta\.c:\d+/);
      expect(stdout).toMatch(/__ta_entry at \S*user_ta_header\.c:\d+/);
    }
    const none = spawnSync(process.execPath, [command, 'optee', 'symbolize'], { input: 'nothing\n', encoding: 'utf8' });
    expect(none.status).toBe(1);
  });
});
