import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { openTee, type TeecError, TeeResult, trustedApplication, value } from '../../src/index.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';

const application = (kind: 'user' | 'pseudo') =>
  trustedApplication({
    uuid,
    kind,
    create: () => ({
      openSession(call) {
        if (call.parameters[0] !== undefined) throw new RangeError('a bug at the door');
      },
      invokeCommand(call) {
        if (call.command === 1) throw new TypeError('a bug');
        call.panic(0xdead);
      },
    }),
  });

const failure = (promise: Promise<unknown>): Promise<TeecError> =>
  promise.then(
    () => {
      throw new Error('nothing failed');
    },
    (error: TeecError) => error,
  );

it.each(['smc', 'ffa'] as const)(
  'the call that fails because of a TA panic gets the panic code, over %s',
  async (abi) => {
    const tee = await openTee({ trustedApplications: [application('user')], simulated: { abi } });
    const session = await tee.openContext().openSession(uuid);
    const error = await failure(session.invoke(2));
    expect(error.code).toBe(TeeResult.ERROR_TARGET_DEAD);
    expect(error.message).toContain('the application panicked with code 0xdead');
    // And so is every later one.
    expect((await failure(session.invoke(2))).message).toContain('code 0xdead');
    await tee.close();
  },
);

it('the call that fails because of an exception in a TypeScript TA gets its name and message', async () => {
  const tee = await openTee({ trustedApplications: [application('user')] });
  const context = tee.openContext();
  const session = await context.openSession(uuid);
  const error = await failure(session.invoke(1));
  expect(error.message).toContain('TypeError: a bug');
  expect(error.panic).toMatchObject({ uuid, why: 'TypeError: a bug' });
  expect(inspect(error).match(/a bug/g)).toHaveLength(1);
  const opening = await failure(context.openSession(uuid, { parameters: [value.input(1)] }));
  expect(opening.code).toBe(TeeResult.ERROR_TARGET_DEAD);
  expect(opening.message).toContain('RangeError: a bug at the door');
  await tee.close();
});

it('an exception in a pseudo-TA, which ends OP-TEE, is reported as well', async () => {
  const tee = await openTee({ trustedApplications: [application('pseudo')] });
  const session = await tee.openContext().openSession(uuid);
  const error = await failure(session.invoke(1));
  expect(error.message).toMatch(/panicked, and with it OP-TEE: TypeError: a bug/);
  // Once, and what was thrown itself, with its stack.
  expect(inspect(error).match(/and with it OP-TEE/g)).toHaveLength(1);
  expect(inspect(error).match(/\[cause\]: .*/g)).toEqual([
    '[cause]: ConduitError: the simulated secure world is dead',
    '[cause]: TypeError: a bug',
  ]);
  await tee.close().catch(() => undefined);
});
