/** A program that uses the TEE behind /dev/tee0: `node client.js CASE`. It ends with 0 when everything was as it should be. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { open as openHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memref, openTee, TeecError, temporary, value } from '../../dist/index.js';

const userTa = '11111111-2222-4333-8444-555555555555';
const pseudoTa = '66666666-7777-4888-8999-aaaaaaaaaaaa';
const deviceTa = '33333333-0000-4000-8000-000000000001';
const laterTa = '33333333-0000-4000-8000-000000000002';
/** test/support/applications.ts */
const Command = { add: 1, reverse: 2, fill: 3, wait: 4, ask: 5, askCancellably: 9 };
const Code = {
  cancel: 0xffff0002,
  badParameters: 0xffff0006,
  badState: 0xffff0007,
  notSupported: 0xffff000a,
  outOfMemory: 0xffff000c,
  shortBuffer: 0xffff0010,
  timeout: 0xffff3001,
};
const Origin = { api: 1, comms: 2, tee: 3, trustedApp: 4 };
const device = '/dev/tee0';
const openFile = async (path) => {
  const file = await openHandle(path);
  return { fd: file.fd, close: () => file.close() };
};

const fails = (pending, code, origin, message = /./) =>
  assert.rejects(pending, (error) => {
    assert.ok(error instanceof TeecError, String(error));
    assert.deepEqual([error.code, error.origin], [code, origin], error.message);
    assert.match(error.message, message);
    return true;
  });

const open = (options = {}) => openTee({ world: 'linux', device, ...options });
/** Open it, use it, close it. */
const on = async (options, use) => {
  const tee = await open(options);
  try {
    await use(tee);
  } finally {
    await tee.close();
  }
};

const cases = {
  /** One thread for requests, and a call inside it: it can be cancelled, and those behind it are never made. */
  async cancelled() {
    await on({ deviceCalls: 1 }, async (tee) => {
      const context = tee.openContext();
      const session = await context.openSession(userTa);
      const cancel = new AbortController();
      const inside = session.invoke(Command.wait, [value.input(1500)], { signal: cancel.signal });
      const behind = new AbortController();
      const waits = session.invoke(Command.ask, [], { signal: behind.signal });
      behind.abort();
      await fails(waits, Code.cancel, Origin.comms);
      // The event loop goes on, and so does a child of this process.
      assert.equal(spawnSync('true').status, 0);
      cancel.abort();
      await fails(inside, Code.cancel, Origin.trustedApp);
      const [sum] = await session.invoke(Command.add, [value.inout(40, 2)]);
      assert.equal(sum.a, 42);
    });
  },
  /** More calls that block than threads: all come back, none starves. */
  async many() {
    await on({ deviceCalls: 3 }, async (tee) => {
      const context = tee.openContext();
      const sessions = await Promise.all(Array.from({ length: 8 }, () => context.openSession(pseudoTa)));
      const results = await Promise.all(
        sessions.flatMap((session) =>
          Array.from({ length: 5 }, (_, index) => session.invoke(Command.add, [value.inout(index, 1)])),
        ),
      );
      assert.deepEqual(
        results.map(([{ a }]) => a),
        sessions.flatMap(() => [1, 2, 3, 4, 5]),
      );
    });
  },
  /** Calls that do not return hold a thread each; others go on until there is none left, and again when they are back. */
  async bound() {
    await on({ deviceCalls: 3 }, async (tee) => {
      const context = tee.openContext();
      const [session, ...those] = await Promise.all([1, 2, 3, 4].map(() => context.openSession(pseudoTa)));
      const others = async () => {
        for (let count = 0; count < 50; count++) {
          const [sum] = await session.invoke(Command.add, [value.inout(count, 1)]);
          assert.equal(sum.a, count + 1);
        }
      };
      const [first, ...rest] = those;
      const hanging = rest.map((each) => each.invoke(Command.ask));
      await others();
      hanging.push(first.invoke(Command.ask));
      const behind = new AbortController();
      const waits = session.invoke(Command.add, [value.inout(40, 2)], { signal: behind.signal });
      behind.abort();
      // No thread has taken it.
      await fails(waits, Code.cancel, Origin.comms);
      await Promise.all(hanging);
      await others();
    });
  },
  /** Calls that were made in one go are all inside before one of them is back. */
  async together() {
    await on({ deviceCalls: 3 }, async (tee) => {
      const context = tee.openContext();
      const sessions = await Promise.all([1, 2, 3].map(() => context.openSession(pseudoTa)));
      for (let round = 0; round < 20; round++)
        await Promise.all(sessions.map((session) => session.invoke(Command.ask)));
    });
  },
  async late() {
    const tee = await open();
    const session = await tee.openContext().openSession(userTa);
    await fails(session.invoke(Command.ask, [], { limitMs: 200 }), Code.timeout, Origin.comms);
    const unfinished = await tee.close({ graceMs: 100 });
    assert.ok(
      unfinished.some(({ purpose, waitsFor }) => purpose === 'invoke' && /kernel/.test(waitsFor)),
      JSON.stringify(unfinished),
    );
    // The call hangs in its thread, and the process ends all the same.
  },
  async exits() {
    const tee = await open();
    const session = await tee.openContext().openSession(userTa);
    const hangs = session.invoke(Command.ask);
    await tee.openContext().openSession(pseudoTa);
    void hangs;
    process.exit(0);
  },
  async memory() {
    await on({}, async (tee) => {
      const context = tee.openContext();
      const session = await context.openSession(userTa);
      for (const size of [1, 7, 64, 4096, 100_001]) {
        const bytes = Uint8Array.from({ length: size }, (_, index) => index);
        const memory = await context.registerSharedMemory(bytes);
        await session.invoke(Command.reverse, [memref.inout(memory)]);
        assert.deepEqual(
          bytes,
          Uint8Array.from({ length: size }, (_, index) => size - 1 - index),
        );
        await memory[Symbol.asyncDispose]();
      }
      const [, out] = await session.invoke(Command.fill, [value.input(70_000), temporary.output(80_000)]);
      assert.equal(out.length, 70_000);
      await assert.rejects(session.invoke(Command.fill, [value.input(100), temporary.output(9)]), ({ code, sizes }) => {
        assert.deepEqual([code, sizes], [Code.shortBuffer, [undefined, 100]]);
        return true;
      });
      await fails(context.allocateSharedMemory(2 ** 31), Code.outOfMemory, Origin.comms);
      await fails(context.registerSharedMemoryDescriptor(0), Code.badParameters, Origin.comms, /EINVAL/);
      const empty = await context.registerSharedMemory(new Uint8Array(0));
      assert.equal(empty.size, 0);
      for (let round = 0; round < 200; round++)
        await (await context.allocateSharedMemory(100_000))[Symbol.asyncDispose]();
      await context.close();
      assert.equal(tee.sharedMemoryInUse, 0);
    });
  },
  /** A folder in the place of sysfs: what is on the kernel's bus. */
  async bus() {
    const sysfs = mkdtempSync(join(tmpdir(), 'normalworld-sysfs-'));
    const bus = join(sysfs, 'bus/tee/devices');
    // Nobody stays for a watch alone.
    const stay = setInterval(() => undefined, 60_000);
    try {
      await on({ sysfs }, async (tee) => {
        await fails(tee.watchDevices(), Code.notSupported, Origin.comms, /bus\/tee\/devices/);
        assert.equal(tee.revision, undefined);
        mkdirSync(join(bus, `optee-ta-${deviceTa}`), { recursive: true });
        mkdirSync(join(bus, 'optee-ta-nonsense'));
        const heard = new EventEmitter();
        const hear = (what) => (device) => heard.emit(what, device.uuid);
        const watch = await tee.watchDevices({ onAdded: hear('added'), onRemoved: hear('removed') });
        assert.deepEqual(watch.devices, [{ uuid: deviceTa, needs: 'nothing' }]);
        const added = once(heard, 'added');
        mkdirSync(join(bus, `optee-ta-${laterTa}`));
        assert.deepEqual(await added, [laterTa]);
        const removed = once(heard, 'removed');
        rmSync(join(bus, `optee-ta-${laterTa}`), { recursive: true });
        assert.deepEqual(await removed, [laterTa]);
      });
      mkdirSync(join(sysfs, 'class/tee/tee0'), { recursive: true });
      writeFileSync(join(sysfs, 'class/tee/tee0/revision'), '4.6\n');
      writeFileSync(join(sysfs, 'class/tee/tee0/rpmb_routing_model'), 'kernel\n');
      await on({ sysfs }, async (tee) => assert.deepEqual([tee.revision, tee.rpmbRouting], ['4.6', 'kernel']));
    } finally {
      clearInterval(stay);
      rmSync(sysfs, { recursive: true });
    }
  },
  /** On a kernel that shares what a descriptor stands for. */
  async descriptor() {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-descriptor-'));
    const path = join(folder, 'buffer');
    writeFileSync(path, new Uint8Array(10_000));
    const { fd, close } = await openFile(path);
    await on({}, async (tee) => {
      const context = tee.openContext();
      const session = await context.openSession(userTa);
      const memory = await context.registerSharedMemoryDescriptor(fd);
      assert.deepEqual([memory.size, memory.bytes.length, tee.sharedMemoryInUse], [10_000, 0, 10_000]);
      await session.invoke(Command.reverse, [memref.inout(memory)]);
      await session.invoke(Command.fill, [value.input(100), memref.output(memory, { offset: 9_900, size: 100 })]);
      await assert.rejects(
        session.invoke(Command.fill, [value.input(101), memref.output(memory, { offset: 9_900, size: 100 })]),
        ({ code, sizes }) => code === Code.shortBuffer && sizes[1] === 101,
      );
      await fails(
        session.invoke(Command.reverse, [memref.inout(memory, { offset: 9_900, size: 101 })]),
        Code.badParameters,
        Origin.api,
      );
      await fails(context.registerSharedMemoryDescriptor(1_000_000), Code.badState, Origin.comms, /EBADF/);
      await memory[Symbol.asyncDispose]();
      assert.equal(tee.sharedMemoryInUse, 0);
    });
    await close();
    rmSync(folder, { recursive: true });
  },
  /** The kernel's tracepoints are events between this process's own, in order of time. A folder is in the place of tracefs. */
  async tracepoints() {
    const tracefs = mkdtempSync(join(tmpdir(), 'normalworld-tracefs-'));
    const instance = join(tracefs, 'instances/normalworld');
    const enable = ['begin', 'end'].map((which) => join(instance, 'events/optee', `optee_invoke_fn_${which}`));
    for (const folder of enable) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'enable'), '0');
    }
    writeFileSync(join(instance, 'trace_clock'), '[local] mono');
    assert.equal(spawnSync('mkfifo', [join(instance, 'trace_pipe')]).status, 0);
    const pipe = openSync(join(instance, 'trace_pipe'), 'r+');
    const events = [];
    let threads = [];
    await on({ tracepoints: tracefs }, async (tee) => {
      assert.deepEqual(
        enable.map((folder) => readFileSync(join(folder, 'enable'), 'latin1')),
        ['1', '1'],
      );
      tee.trace.listen((event) => events.push(event));
      const session = await tee.openContext().openSession(pseudoTa);
      const kernelSays = (what, task = 'xtest-301') => {
        const seconds = (Number(process.hrtime.bigint()) / 1e9).toFixed(9);
        writeSync(pipe, `  ${task} [001] .....  ${seconds}: optee_invoke_fn_${what}\n`);
      };
      await session.invoke(Command.add, [value.inout(1, 2)]);
      kernelSays('begin: param=0000000012345678 (32000013, 1, 2, 0, 0, 0, 0, 0)');
      await session.invoke(Command.add, [value.inout(1, 2)]);
      kernelSays('end: param=0000000012345678 ret (0, 0, 0, 0)');
      // Entries of every thread of this process: one of them has the call inside.
      const waiter = await tee.openContext().openSession(userTa);
      const waits = waiter.invoke(Command.wait, [value.input(200)]);
      // A thread has the call when the event loop has turned.
      await new Promise(setImmediate);
      threads = readdirSync('/proc/self/task');
      for (const task of threads) {
        kernelSays(`begin: param=${task.padStart(16, '0')} (32000013, 1, 2, 0, 0, 0, 0, 0)`, `node-${task}`);
        kernelSays(`end: param=${task.padStart(16, '0')} ret (ffff0005, 0, 0, 3)`, `node-${task}`);
      }
      await waits;
      writeSync(pipe, 'CPU:1 [LOST 12 EVENTS]\n');
    });
    await assert.rejects(open({ tracepoints: join(tracefs, 'nothing') }), /there is no tracefs at .*nothing/);
    closeSync(pipe);
    assert.deepEqual(
      events.filter(({ type }) => type === 'mark').map(({ text }) => text),
      ['the kernel lost events 1 times: its trace buffer was full'],
    );
    assert.deepEqual(
      enable.map((folder) => readFileSync(join(folder, 'enable'), 'latin1')),
      ['0', '0'],
    );
    const times = events.map(({ time }) => time);
    assert.deepEqual(
      times,
      times.toSorted((one, other) => one - other),
    );
    const kernels = events.find(({ context }) => context === 'xtest-301').call;
    const seen = events
      .filter(({ type }) => type.startsWith('call-'))
      .map(({ type, call }) => [type, call === kernels]);
    const own = (type) => [type, false];
    assert.deepEqual(seen.slice(0, 9), [
      ...[own('call-begin'), own('call-end'), own('call-begin'), own('call-end'), ['call-begin', true]],
      ...[own('call-begin'), own('call-end'), ['call-end', true], own('call-begin')],
    ]);
    const foreign = events.filter(({ context }) => /^node-\d+$/.test(context));
    assert.equal(foreign.length, threads.length - 1);
    const waits = events.findLast(({ type, purpose }) => type === 'call-begin' && purpose === 'invoke').call;
    assert.deepEqual(
      events.filter(({ call }) => call === waits).map(({ type, thread }) => [type, thread]),
      [['call-begin'], ['world-enter'], ['world-exit', 3], ['rpc-begin'], ['call-end']].map(([type, thread]) => [
        type,
        thread,
      ]),
    );
    rmSync(tracefs, { recursive: true });
  },

  async inside() {
    await on({}, async (tee) => {
      const named = (what, pattern) =>
        assert.throws(what, (error) => error.code === Code.notSupported && pattern.test(error.message));
      named(() => tee.info, /info/);
      named(() => tee.queue, /queue/);
      named(() => tee.queueState(), /queueState/);
      named(() => tee.waiting(), /waiting/);
      named(() => tee.supplicantDevice, /supplicantDevice/);
      named(() => tee.openKernelContext(), /context of the kernel/);
      named(() => tee.addRpmb({ exchange: () => undefined }), /addRpmb/);
      named(() => tee.openContext({ identity: { uid: 1, gid: 1, groups: [] } }), /identity/);
      assert.equal(tee.memoryFile, undefined);
      const events = [];
      tee.trace.listen(({ type, purpose }) => events.push(purpose ?? type));
      const context = tee.openContext();
      const session = await context.openSession(pseudoTa);
      await session.invoke(Command.add, [value.inout(1, 2)]);
      await context.close();
      assert.deepEqual(events, [
        ...['open-session', 'call-end', 'session-open', 'invoke', 'call-end'],
        ...['close-session', 'call-end', 'session-close'],
      ]);
    });
  },
};

await cases[process.argv[2]]();
