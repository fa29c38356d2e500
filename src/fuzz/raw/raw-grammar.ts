import { attrMeta, attrNoncontig, maxParamCount, OpteeMsgAttr, OpteeMsgCmd } from '../../protocol/optee-msg.js';
import { OpteeSmc } from '../../protocol/optee-smc.js';
import type { Field, FuzzInput, FuzzRecord, FuzzValue, Grammar, IntegerField, Step } from '../input/grammar.js';
import { rawPages } from './raw-memory.js';

const word = 2 ** 32 - 1;
const wide = 2 ** 64 - 2 ** 11;
/** The base of an address. */
const from: Field = { type: 'choice', of: ['page', 'message', 'reserved', 'secure', 'core', 'zero', 'end', 'far'] };
const offset: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 0, 0, 1, 4, 8, 16, 32, 64, 2048, 4064, 4088, 4095, 4096, 8192, 2 ** 21 - 64, 2 ** 21],
};
const size: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 1, 8, 16, 32, 64, 4095, 4096, 4097, 8192, 65_536, 2 ** 32, wide],
};
const cookie: IntegerField = { type: 'integer', max: wide, usual: [0, 1, 2, 3, 4, 5, 6, 7, word, wide] };
const register: IntegerField = { type: 'integer', max: word, usual: [0, 1, 2, 3, 4096, 2 ** 31, word] };
const anyWord: IntegerField = { type: 'integer', max: word, usual: [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, word] };
const value: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 1, 2, 3, 4, 8, 16, 64, 4096, word, 2 ** 32, wide],
};

const attributes = Object.values(OpteeMsgAttr);
const attr: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [
    ...attributes,
    ...attributes.map((each) => each | attrNoncontig),
    ...attributes.map((each) => each | attrMeta),
    0xff,
    1 << 16,
  ],
};

/** An entry of a page list: a page of the input's memory, or any address. */
const page: Field = {
  type: 'record',
  of: { ours: { page: { type: 'integer', max: rawPages - 1, usual: [8, 9, 10, 11] } }, at: { from, offset } },
  weights: { ours: 8 },
};
const pages: Field = { type: 'list', of: page, max: 12 };

const parameter: Field = {
  type: 'record',
  of: {
    none: {},
    value: { attr, a: value, b: value, c: value },
    /** A temporary memory reference (OPTEE_MSG_ATTR_TYPE_TMEM): address, size, cookie. */
    memory: { attr, from, offset, size, cookie },
    /** A temporary memory reference with a list of pages (OPTEE_MSG_ATTR_NONCONTIG). */
    listed: { attr, pages, offset, size, cookie },
    /** A registered memory reference (OPTEE_MSG_ATTR_TYPE_RMEM): offset, size, cookie. */
    registered: { attr, offset, size, cookie },
    uuid: { attr, application: { type: 'integer', max: 7, usual: [0, 1, 2, 3, 4, 5] } },
  },
  weights: { none: 0.5, value: 3, memory: 3, listed: 2, registered: 2 },
};

/** A word of the message, or behind it, that changes while secure world reads it. */
const changes: Field = {
  type: 'list',
  of: {
    type: 'record',
    of: { word: { at: { type: 'integer', max: 1023, usual: [0, 1, 2, 3, 7, 8, 10, 12, 14] }, to: anyWord } },
  },
  max: 2,
};

/** The SMC function that passes the message. */
const by: Field = { type: 'choice', of: ['rpc-arg', 'arg', 'registered-arg'] };

/** Messages at addresses, with the memory that they refer to. */
export const messageGrammar: Grammar = {
  maxSteps: 10,
  steps: {
    type: 'record',
    of: {
      message: {
        by,
        command: { type: 'integer', max: word, usual: Object.values(OpteeMsgCmd) },
        function: anyWord,
        /** The index of an open session, or a number that is not a session. */
        session: { type: 'integer', max: word, usual: [0, 0, 1, 2, 3] },
        cancel: anyWord,
        parameters: { type: 'list', of: parameter, max: 8 },
        /** Difference of the claimed number of parameters from the actual one. */
        more: { type: 'integer', max: word, usual: [0, 0, 0, 0, 0, 0, 1, 2, maxParamCount, 128, 0x0800_0000, word] },
        at: offset,
        changes,
      },
      open: {
        application: { type: 'integer', max: 7, usual: [0, 1, 2, 3, 4] },
        login: { type: 'integer', max: word, usual: [0, 1, 2, 4, 5, 6, 2 ** 31] },
      },
      close: { session: { type: 'integer', max: 7, usual: [0] } },
      register: { pages, offset, size, cookie },
      unregister: { cookie },
    },
    weights: { message: 8, open: 2, register: 2 },
  },
};

/** SMCs with any register values, whatever is in memory. */
export const smcGrammar: Grammar = {
  maxSteps: 12,
  steps: {
    type: 'record',
    of: {
      smc: {
        function: {
          type: 'integer',
          max: 0xffff,
          usual: [...new Set(Object.values(OpteeSmc).map((id) => id & 0xffff))],
        },
        owner: { type: 'choice', of: ['trusted-os', 'trusted-os-api', 'trusted-application'] },
        how: { type: 'choice', of: ['fast', 'yielding'] },
        registers: { type: 'list', of: register, max: 7 },
      },
      /** An SMC with an address in a register pair: upper half, lower half. */
      'smc-at': {
        function: { type: 'integer', max: 0xffff, usual: [4, 18, 19] },
        from,
        offset,
        /** What is written at that address. */
        octets: { type: 'octets', maxLength: 4096, usual: [] },
        register,
      },
      resume: {
        thread: { type: 'integer', max: word, usual: [0, 1, 2, word] },
        registers: { type: 'list', of: register, max: 4 },
      },
    },
    weights: { smc: 4, 'smc-at': 3 },
  },
};

const seedParameter = (fields: FuzzRecord): FuzzValue => fields;
const message = (
  command: number,
  parameters: readonly FuzzValue[],
  more: Readonly<Record<string, FuzzValue>> = {},
): Step => ({
  kind: 'message',
  by: 'rpc-arg',
  command,
  function: 1,
  session: 0,
  cancel: 0,
  parameters,
  more: 0,
  at: 0,
  changes: [],
  ...more,
});
const open = (application: number): Step => ({ kind: 'open', application, login: 0 });
const ours = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({ kind: 'ours', page: first + index }));

export const messageSeeds: readonly FuzzInput[] = [
  {
    steps: [
      open(0),
      message(OpteeMsgCmd.invokeCommand, [
        seedParameter({ kind: 'value', attr: OpteeMsgAttr.valueInout, a: 1, b: 2, c: 0 }),
      ]),
    ],
  },
  {
    steps: [
      open(0),
      message(OpteeMsgCmd.invokeCommand, [
        { kind: 'memory', attr: OpteeMsgAttr.tmemInout, from: 'page', offset: 0, size: 64, cookie: 0 },
      ]),
    ],
  },
  {
    steps: [
      { kind: 'register', pages: ours(8, 2), offset: 0, size: 8192, cookie: 1 },
      { kind: 'unregister', cookie: 1 },
    ],
  },
  {
    steps: [
      { kind: 'register', pages: ours(8, 1), offset: 0, size: 4096, cookie: 2 },
      open(0),
      message(OpteeMsgCmd.invokeCommand, [
        { kind: 'registered', attr: OpteeMsgAttr.rmemInout, offset: 0, size: 64, cookie: 2 },
      ]),
    ],
  },
  { steps: [open(1), { kind: 'close', session: 0 }] },
  {
    steps: [
      message(OpteeMsgCmd.openSession, [
        { kind: 'uuid', attr: OpteeMsgAttr.valueInput | attrMeta, application: 0 },
        { kind: 'value', attr: OpteeMsgAttr.valueInput | attrMeta, a: 0, b: 0, c: 0 },
      ]),
    ],
  },
  { steps: [message(OpteeMsgCmd.cancel, [])] },
];

export const smcSeeds: readonly FuzzInput[] = [
  ...[1, 7, 9, 15, 17].map((func) => ({
    steps: [{ kind: 'smc', function: func, owner: 'trusted-os', how: 'fast', registers: [] }],
  })),
  { steps: [{ kind: 'smc-at', function: 18, from: 'message', offset: 0, octets: '', register: 0 }] },
];
