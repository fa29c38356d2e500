/** The functions of drivers/tee/optee/call.c that implement the queue. */
const queueFunctions = [
  'optee_cq_init',
  'optee_cq_wait_init',
  'optee_cq_wait_for_completion',
  'optee_cq_complete_one',
  'optee_cq_wait_final',
  'optee_cq_incr_sys_thread_count',
  'optee_cq_decr_sys_thread_count',
];
const queueStructures = ['optee_call_waiter', 'optee_call_queue'];

/**
 * The sources of the kernel's driver with its call queue replaced.
 * @param {ReadonlyMap<string, string>} driver the files of drivers/tee/optee, by name.
 * @param {ReadonlyMap<string, string>} queue `call_queue.c`, `call_queue.h`.
 * @returns {Map<string, string>}
 * @throws Error if the driver does not contain the expected queue.
 */
export function replaceCallQueue(driver, queue) {
  const source = (name) => {
    const text = driver.get(name);
    if (text === undefined) throw new Error(`drivers/tee/optee has no ${name}`);
    return text;
  };
  let calls = source('call.c');
  for (const name of queueFunctions)
    calls = without(calls, new RegExp(`^(?:static )?(?:void|bool) ${name}\\(`, 'm'), name);
  let header = source('optee_private.h');
  for (const name of queueStructures) header = without(header, new RegExp(`^struct ${name} \\{`, 'm'), name);
  header = header.replace(/^(#include .*\n)(?!#include)/m, '$1#include "call_queue.h"\n');
  const declared = ['bool optee_cq_incr', 'void optee_cq_decr'].map(
    (start) => `${start}_sys_thread_count(struct optee_call_queue *cq);\n`,
  );
  header = header.replace(/^void optee_cq_init\(/m, `${declared.join('')}$&`);
  const makefile = source('Makefile').replace(/^optee-objs \+= call\.o$/m, '$&\noptee-objs += call_queue.o');
  return new Map([...driver, ...queue, ['call.c', calls], ['optee_private.h', header], ['Makefile', makefile]]);
}

/** Remove the top-level definition that begins with `start`; its comment stays. */
function without(text, start, name) {
  const begin = text.search(start);
  const end = text.indexOf('\n}', begin);
  if (begin < 0 || end < 0) throw new Error(`drivers/tee/optee: no ${name} where it was expected`);
  return text.slice(0, begin) + text.slice(text.indexOf('\n', end + 1) + 1);
}
