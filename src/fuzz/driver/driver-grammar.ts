import { OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { OpteeSmcReturn, rpcReturn } from '../../protocol/optee-smc.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { Field, FuzzInput, Grammar, IntegerField, Step } from '../input/grammar.js';

const word = 2 ** 32 - 1;
const wide = 2 ** 64 - 2 ** 11;
const count = (max: number): IntegerField => ({ type: 'integer', max, usual: [0, 0, 1] });
const number: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 1, 2, 3, 4, 8, 16, 64, 4096, 65_536, 2 ** 31, word, 2 ** 32, wide],
};
const register: IntegerField = {
  type: 'integer',
  max: word,
  usual: [
    ...Object.values(OpteeSmcReturn),
    ...[0, 1, 2, 3, 4, 5, 6, 7, 0xfffe].map(rpcReturn),
    ...[0x4000_0000, 0x4008_0000, 1024, word],
  ],
};
const registers: Field = { type: 'list', of: register, max: 8 };
const attr: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [...Object.values(OpteeMsgAttr), 0x20a, 0x109, 0xff, 2 ** 32],
};
const result: IntegerField = { type: 'integer', max: word, usual: Object.values(TeeResult) };
const direction: Field = { type: 'choice', of: ['input', 'output', 'inout'] };

const parameter: Field = {
  type: 'record',
  of: {
    none: {},
    value: {
      direction,
      a: { type: 'integer', max: word, usual: [0, 1, word] },
      b: { type: 'integer', max: word, usual: [0, 1, word] },
    },
    temporary: { direction, size: { type: 'integer', max: 20_000, usual: [0, 1, 16, 100, 4096, 4097, 20_000] } },
    shared: {
      direction,
      memory: count(3),
      offset: count(4096),
      size: { type: 'integer', max: 4096, usual: [0, 1, 64, 4096] },
    },
    null: { direction },
  },
};

/** A parameter to be written into the message of an RPC. */
const rpcParameter: Field = { type: 'record', of: { parameter: { attr, a: number, b: number, c: number } } };

/** A field of a message, or of one of its parameters. */
const field: Field = {
  type: 'choice',
  of: ['ret', 'retOrigin', 'session', 'paramCount', 'cmd', 'func', 'cancelId', 'attr', 'a', 'b', 'c'],
};

/** A fault occurs after this many SMCs or messages of its kind. */
const after = count(6);

/** Calls of clients, and faults of secure world. */
export const driverGrammar: Grammar = {
  maxSteps: 24,
  steps: {
    type: 'record',
    of: {
      invoke: {
        session: count(3),
        command: { type: 'integer', max: word, usual: [1, 2, 3, 4, 5, 6] },
        parameters: { type: 'list', of: parameter, max: 4 },
      },
      open: { application: count(1), parameters: { type: 'list', of: parameter, max: 4 } },
      close: { session: count(3) },
      allocate: { size: { type: 'integer', max: 2 ** 31, usual: [0, 1, 4096, 4097, 100_000, 2 ** 30] } },
      register: { size: { type: 'integer', max: 100_000, usual: [0, 1, 4096, 4097, 100_000] } },
      free: { memory: count(3) },
      'system-session': { session: count(3) },
      cancel: { session: count(3) },
      'client-dies': {},
      time: { ms: { type: 'integer', max: 100_000, usual: [1, 10, 1000, 60_000] } },
      /** An SMC returns other register values. */
      'lie-return': { after, registers },
      /** An SMC is answered without reaching secure world. */
      'lie-instead': { after, registers },
      /** A field of the answer to a message is changed. */
      'lie-answer': { after, field, parameter: count(5), value: number },
      /** A field of an RPC's message is changed. */
      'lie-rpc': { after, field, parameter: count(5), value: number },
      /** An application makes an RPC with any command and parameters. */
      ask: {
        command: { type: 'integer', max: word, usual: Object.values(RpcCommand) },
        parameters: { type: 'list', of: rpcParameter, max: 5 },
      },
      'ask-twice': { after },
      'refuse-memory': { after },
      panics: { after, code: result },
      returns: { after, result },
      notify: { value: { type: 'integer', max: 63, usual: [0, 1, 2, 63] } },
      interrupt: {},
    },
    weights: { invoke: 6, ask: 4, 'lie-return': 2, 'lie-answer': 3, 'lie-rpc': 3, 'client-dies': 0.3 },
  },
};

const invoke = (parameters: Step['parameters'] & object, command = 1): Step => ({
  kind: 'invoke',
  session: 0,
  command,
  parameters,
});

export const driverSeeds: readonly FuzzInput[] = [
  { steps: [invoke([{ kind: 'value', direction: 'inout', a: 1, b: 2 }])] },
  { steps: [invoke([{ kind: 'temporary', direction: 'inout', size: 100 }], 2)] },
  {
    steps: [
      { kind: 'allocate', size: 4096 },
      invoke([{ kind: 'shared', direction: 'inout', memory: 0, offset: 0, size: 64 }], 2),
      { kind: 'free', memory: 0 },
    ],
  },
  {
    steps: [
      { kind: 'register', size: 4097 },
      { kind: 'open', application: 1, parameters: [] },
      { kind: 'close', session: 1 },
    ],
  },
  {
    steps: [
      { kind: 'ask', command: RpcCommand.getTime, parameters: [{ kind: 'parameter', attr: 2, a: 0, b: 0, c: 0 }] },
    ],
  },
  {
    steps: [
      { kind: 'ask', command: RpcCommand.shmAlloc, parameters: [{ kind: 'parameter', attr: 1, a: 0, b: 4096, c: 8 }] },
    ],
  },
  { steps: [{ kind: 'lie-answer', after: 0, field: 'ret', parameter: 0, value: 0 }, invoke([])] },
  { steps: [{ kind: 'lie-return', after: 0, registers: [rpcReturn(5)] }, invoke([])] },
];
