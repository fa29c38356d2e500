import { describe, expect, it } from 'vitest';
import { replaceCallQueue } from '../../linux/kernel/call-queue-source.js';

/** As small as a driver with a queue can be: an invented one. */
const driver = new Map([
  ['Makefile', 'optee-objs += core.o\noptee-objs += call.o\n'],
  [
    'optee_private.h',
    [
      '#include <linux/types.h>',
      '#include "optee_msg.h"',
      '',
      'struct optee_call_waiter {',
      '\tint old;',
      '};',
      '',
      'struct optee_call_queue {',
      '\tint old;',
      '};',
      'struct optee {',
      '\tstruct optee_call_queue call_queue;',
      '};',
      'void optee_cq_init(struct optee_call_queue *cq, int thread_count);',
      '',
    ].join('\n'),
  ],
  [
    'call.c',
    [
      ['void', 'init'],
      ['void', 'wait_init'],
      ['void', 'wait_for_completion'],
      ['static void', 'complete_one'],
      ['void', 'wait_final'],
      ['static bool', 'incr_sys_thread_count'],
      ['static void', 'decr_sys_thread_count'],
    ]
      .map(([type, name]) => `${type} optee_cq_${name}(struct optee_call_queue *cq)\n{\n\tif (cq) {\n\t}\n}\n`)
      .concat('int optee_other(void)\n{\n\treturn optee_cq_incr_sys_thread_count(0);\n}\n')
      .join('\n'),
  ],
]);
const queue = new Map([
  ['call_queue.c', 'queue\n'],
  ['call_queue.h', 'header\n'],
]);

describe("the kernel's driver with another call queue", () => {
  const files = replaceCallQueue(driver, queue);

  it('has the functions of the queue once, and all others unchanged', () => {
    expect(files.get('call.c')?.trim()).toBe(
      'int optee_other(void)\n{\n\treturn optee_cq_incr_sys_thread_count(0);\n}',
    );
    expect(files.get('call_queue.c')).toBe('queue\n');
    expect(files.get('Makefile')).toBe('optee-objs += core.o\noptee-objs += call.o\noptee-objs += call_queue.o\n');
  });

  it('takes the structures from the header, and declares functions that are no longer static', () => {
    const header = files.get('optee_private.h') ?? '';
    expect(header).not.toContain('int old');
    expect(header).toContain('struct optee {\n\tstruct optee_call_queue call_queue;\n};');
    expect(header).toContain('#include "optee_msg.h"\n#include "call_queue.h"\n');
    expect(header).toContain('bool optee_cq_incr_sys_thread_count(struct optee_call_queue *cq);');
    expect(header).toContain('void optee_cq_decr_sys_thread_count(struct optee_call_queue *cq);');
  });

  it.each([
    ['call.c', /^void optee_cq_wait_final/m, 'optee_cq_wait_final'],
    ['optee_private.h', /^struct optee_call_waiter \{/m, 'optee_call_waiter'],
  ])('is refused if %s is not as expected, naming the missing definition', (file, pattern, name) => {
    const other = new Map(driver).set(file, (driver.get(file) ?? '').replace(pattern, 'int something_else'));
    expect(() => replaceCallQueue(other, queue)).toThrow(name);
  });

  it('is refused when a file is missing', () => {
    const other = new Map(driver);
    other.delete('optee_private.h');
    expect(() => replaceCallQueue(other, queue)).toThrow('optee_private.h');
  });
});
