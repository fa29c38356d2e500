import { LoginClass } from '../../protocol/optee-msg.js';
import { wireMagic } from '../../serve/wire.js';
import type { Field, FuzzInput, Grammar, IntegerField, Step } from '../input/grammar.js';

const word = 2 ** 32 - 1;
const wide = 2 ** 64 - 2 ** 11;
const number: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 1, 2, 16, 64, 4095, 4096, 4097, 2 ** 31, word, 2 ** 32, 2 ** 53, 2 ** 63, wide],
};
/** A client's number in order of opening; client 0 is opened before the first step. */
const client: IntegerField = { type: 'integer', max: 3, usual: [0, 0, 0, 1] };

/**
 * Numbers below this select a client's own sessions and memory, in order of creation. This number selects those of the
 * other, well-behaved client.
 */
export const foreign = 8;
/** A session or memory: the client's own, the other client's, or a raw id. */
const named: IntegerField = { type: 'integer', max: word, usual: [0, 0, 0, 1, 2, foreign, word] };
const size: IntegerField = {
  type: 'integer',
  max: wide,
  usual: [0, 1, 64, 4095, 4096, 4097, 8192, 100_000, 2 ** 30, wide],
};

const parameter: Field = {
  type: 'record',
  of: {
    none: {},
    value: { direction: { type: 'choice', of: ['input', 'output', 'inout'] }, a: number, b: number, c: number },
    memory: {
      direction: { type: 'choice', of: ['input', 'output', 'inout'] },
      memory: named,
      offset: number,
      size,
    },
    /** TEE_MEMREF_NULL. */
    null: { direction: { type: 'choice', of: ['input', 'output', 'inout'] }, size },
    words: {
      attr: { type: 'integer', max: wide, usual: [0, 4, 8, 0xff, 0x101, 2 ** 32 + 3] },
      a: number,
      b: number,
      c: number,
    },
  },
  weights: { memory: 3, value: 3, none: 0.5 },
};
const parameters: Field = { type: 'list', of: parameter, max: 6 };
/** Number of parameters that the argument claims in addition to those that it has. */
const more: IntegerField = { type: 'integer', max: word, usual: [0, 0, 0, 0, 0, 0, 0, 0, 1, 2 ** 27, word] };
const cancel: IntegerField = { type: 'integer', max: word, usual: [0, 1, 2] };

/** Ioctls of clients of a served device, sequential and concurrent. */
export const ioctlGrammar: Grammar = {
  maxSteps: 24,
  steps: {
    type: 'record',
    of: {
      invoke: {
        client,
        session: named,
        command: { type: 'integer', max: word, usual: [1, 2, 3, 4, 5, 6] },
        cancel,
        parameters,
        more,
      },
      open: {
        client,
        /** Two applications that exist, and one that does not. */
        application: { type: 'integer', max: 2, usual: [0, 1] },
        login: {
          type: 'integer',
          max: word,
          usual: [LoginClass.public, LoginClass.user, LoginClass.group, 3, 5, 6, LoginClass.reeKernel, word],
        },
        cancel,
        parameters,
        more,
      },
      close: { client, session: named },
      cancel: { client, session: named, cancel },
      allocate: { client, size, flags: { type: 'integer', max: word, usual: [0, 0, 0, 1, word] } },
      register: {
        client,
        address: number,
        size,
        flags: { type: 'integer', max: word, usual: [0, 0, 0, 1] },
        way: { type: 'integer', max: word, usual: [0, 1, 2, 3, 4, 5, 6] },
        pages: { type: 'integer', max: word, usual: [0, 1, 2, word] },
      },
      /** Close the last reference to this memory's file. */
      free: { client, memory: { type: 'integer', max: 7, usual: [0, 0, 1] } },
      version: { client, length: { type: 'integer', max: 4096, usual: [0, 11, 12, 13] } },
      /** Open a device once more. */
      device: { name: { type: 'choice', of: ['tee0', 'teepriv0', 'tee1'] } },
      dies: { client },
      /** A request with an arbitrary body. */
      request: {
        client,
        operation: { type: 'integer', max: word, usual: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x100] },
        octets: { type: 'octets', maxLength: 4096, usual: ['', '00000000', '0000000000000000'] },
      },
      /**
       * A request whose header has a wrong length or belongs to another protocol. The sender closes the connection
       * afterwards.
       */
      broken: {
        client,
        magic: { type: 'integer', max: word, usual: [wireMagic, wireMagic, 0x3154_574e, 0] },
        operation: { type: 'integer', max: word, usual: [0, 1, 2, 3, 9, 0x100] },
        length: { type: 'integer', max: word, usual: [0, 1, 24, 56, 4096, 4097, word] },
        reserved: { type: 'integer', max: word, usual: [0, 0, 0, 1] },
        octets: { type: 'octets', maxLength: 4096, usual: ['', '00'] },
      },
      /** Bytes on a connection that represents a device file, on which no request is expected. */
      knock: { client, octets: { type: 'octets', maxLength: 64, usual: ['00', '0000'] } },
      time: { ms: { type: 'integer', max: 100_000, usual: [1, 10, 1000, 60_000] } },
      interrupt: {},
      notify: { value: { type: 'integer', max: 63, usual: [0, 1, 63] } },
    },
    weights: { invoke: 6, open: 3, allocate: 2, register: 2, cancel: 2, dies: 0.5, interrupt: 0.5, notify: 0.3 },
  },
};

const invoke = (parameters: Step['parameters'] & object, command: number, more: Partial<Step> = {}): Step => ({
  ...{ kind: 'invoke', client: 0, session: 0, command, cancel: 0, parameters, more: 0 },
  ...(more as object),
});
const open = (application: number): Step => ({
  ...{ kind: 'open', client: 0, application, login: 0, cancel: 0, parameters: [], more: 0 },
});
const allocate: Step = { kind: 'allocate', client: 0, size: 4096, flags: 0 };
const memory = (size: number) => ({ kind: 'memory', direction: 'inout', memory: 0, offset: 0, size });

export const ioctlSeeds: readonly FuzzInput[] = [
  { steps: [{ kind: 'version', client: 0, length: 12 }] },
  { steps: [open(0), invoke([{ kind: 'value', direction: 'inout', a: 1, b: 2, c: 0 }], 1)] },
  { steps: [open(1), allocate, invoke([memory(64)], 2), { kind: 'free', client: 0, memory: 0 }] },
  {
    steps: [
      open(0),
      { kind: 'register', client: 0, address: 4196, size: 5000, flags: 0, way: 2, pages: 0 },
      invoke([memory(5000)], 2),
    ],
  },
  {
    steps: [
      open(1),
      invoke([], 4, { cancel: 1 }),
      { kind: 'cancel', client: 0, session: 0, cancel: 1 },
      { kind: 'close', client: 0, session: 0 },
    ],
  },
  { steps: [open(0), { kind: 'device', name: 'tee0' }, invoke([], 4), { kind: 'dies', client: 0 }] },
  { steps: [{ kind: 'request', client: 0, operation: 6, octets: '' }] },
];
