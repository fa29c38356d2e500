/**
 * Planted defects: in a trusted application of ours, selected by number at build time; and in the message handling of
 * the simulated secure world, as a change of one place of its source (`bench/mutants/mutate.js`). `kinds` are the kinds
 * of findings that may result.
 */
export const ledger = '6b1f3c52-0d8e-4a77-9e55-3f1d2c4b5a60';

const manager = 'src/worlds/simulated/ta/ta-manager.ts';
const messages = 'src/worlds/simulated/entry/entry-std.ts';

export const defects = [
  {
    name: 'types',
    what: 'TA: parameters are used without a look at their types',
    number: 1,
    kinds: ['ta-abort'],
  },
  { name: 'index', what: 'TA: an index from the client is not checked', number: 2, kinds: ['ta-abort'] },
  { name: 'empty', what: 'TA: an empty buffer is taken for impossible', number: 3, kinds: ['ta-panic'] },
  {
    name: 'behind',
    what: "TA: a whole record is written, whatever the client's buffer holds",
    number: 4,
    kinds: ['memory', 'ta-abort'],
  },
  { name: 'endless', what: 'TA: a loop whose end some values do not reach', number: 5, kinds: ['hang'] },
  { name: 'input', what: 'TA: an input is written', number: 6, kinds: ['memory', 'ta-abort'] },
  {
    name: 'thread',
    what: 'simulated: a thread is not given back when the message is refused',
    file: 'src/worlds/simulated/simulated-world.ts',
    in: 'SimulatedWorld.enter',
    find: 'thread.free(); return smcRegisters(ended);',
    becomes: 'if (ended !== OpteeSmcReturn.ebadAddr) thread.free(); return smcRegisters(ended);',
    kinds: ['leak'],
  },
  {
    name: 'session',
    what: 'simulated: a session stays whose application is not there',
    file: manager,
    in: 'TaManager.openSession',
    find: 'this.sessions.delete(session.id);',
    becomes: '',
    kinds: ['leak'],
  },
  {
    name: 'shared-memory',
    what: 'simulated: memory stays registered after it was taken back',
    file: 'src/worlds/simulated/core/registered-shm.ts',
    in: 'unregister',
    find: 'core.registeredShm.remove(mobj);',
    becomes: '',
    kinds: ['leak'],
  },
  {
    name: 'count',
    what: 'simulated: OPEN_SESSION is taken without the two parameters that are for OP-TEE',
    file: messages,
    in: 'openSessionMeta',
    find: 'count < openSessionMetaCount || message.attr(0) !== wanted || message.attr(1) !== wanted',
    becomes: 'message.attr(0) !== wanted || message.attr(1) !== wanted',
    kinds: ['core-panic'],
  },
  {
    name: 'result',
    what: 'simulated: REGISTER_SHM is refused without a result',
    file: messages,
    in: 'registerShm',
    find: 'message.ret = TeeResult.ERROR_BAD_PARAMETERS;',
    becomes: '',
    kinds: ['protocol'],
  },
];
