import { RpcCommand, TeeResult, trustedApplication } from '../dist/index.js';
import { RpcFs, RpcSocket } from '../dist/protocol/optee-rpc-command.js';
import { rpcMemref, rpcValue, TeeError } from '../dist/testing.js';

export const command = {
  sum: 1,
  mask: 2,
  gate: 3,
  wait: 4,
  panic: 5,
  notify: 6,
  notified: 7,
  put: 8,
  get: 9,
  socket: 10,
  ask: 11,
  bug: 12,
  hold: 13,
};

export const pluginUuid = 'f07bfc66-958c-4a15-99c0-260e4e7375dd';

/** The trusted applications of a simulated world, and shared state for data that does not fit into four parameters. */
export function applications() {
  /** The RPCs that the next invokes of `ask` make, by number. */
  const questions = new Map();
  /** The calls that are in secure world at the same time. */
  const gate = { wanted: 0, inside: [] };
  const code = { invokeCommand: (call) => invoke(call, questions, gate) };
  /** Each session has a sum of its own, so that confused sessions are detected. */
  const withSums = () => {
    const sums = new Map();
    return {
      openSession: (call) => void sums.set(call.session, 0),
      closeSession: (call) => void sums.delete(call.session),
      invokeCommand(call) {
        if (call.command !== command.sum) return code.invokeCommand(call);
        const value = call.value(0);
        const sum = ((sums.get(call.session) ?? 0) + value.a) >>> 0;
        sums.set(call.session, sum);
        value.a = sum;
        value.b = call.session.id;
      },
    };
  };
  const pseudo = trustedApplication({
    uuid: 'c4a05000-0000-4000-8000-000000000001',
    name: 'chaos core',
    kind: 'pseudo',
    concurrent: true,
    create: withSums,
  });
  const user = trustedApplication({
    uuid: 'c4a05000-0000-4000-8000-000000000002',
    name: 'chaos user',
    kind: 'user',
    create: withSums,
  });
  return { pseudo, user, questions, gate, all: [pseudo, user] };
}

async function invoke(call, questions, gate) {
  switch (call.command) {
    case command.mask: {
      const { a: mask } = call.value(0);
      const data = call.memref(1);
      data.write(data.read().map((octet) => octet ^ mask));
      return;
    }
    case command.gate:
      await new Promise((resolve) => {
        gate.inside.push(resolve);
        if (gate.inside.length >= gate.wanted) for (const leave of gate.inside.splice(0)) leave();
      });
      return;
    case command.wait:
      call.unmaskCancellation();
      return call.wait(call.value(0).a);
    case command.panic:
      return call.panic(call.value(0).a);
    case command.bug:
      throw new TypeError('a bug of chaos in a trusted application');
    case command.notify:
      return call.notify(call.value(0).a);
    case command.notified:
      return call.waitForNotification(call.value(0).a, call.value(0).b);
    case command.put:
      return withFile(call, 'create', async (file) => call.files.write(file, call.value(0).b, call.memref(1).read()));
    case command.get:
      return withFile(call, 'open', async (file) => {
        const out = call.memref(1);
        const bytes = await call.files.read(file, call.value(0).b, out.capacity);
        out.write(bytes);
        out.size = bytes.length;
      });
    case command.hold:
      return withFile(call, 'create', () => call.wait(call.value(0).b));
    case command.socket:
      return exchange(call);
    case command.ask:
      return ask(call, questions);
    default:
      throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
  }
}

async function withFile(call, how, work) {
  const file = await call.files[how](`chaos/${call.value(0).a}`);
  try {
    await work(file);
  } finally {
    // Whatever the result: the supplicant has closed it, or has detached.
    await call.files.close(file).catch(() => {});
  }
}

/** Opens a socket, sends, receives, closes: value 0 is the port and protocol, memref 1 the data. */
async function exchange(call) {
  const { a: port, b: protocol } = call.value(0);
  const data = call.memref(1);
  const memory = await call.allocateRpcMemory(4096);
  const instance = call.session.id;
  const request = async (params) => {
    const result = await call.rpc(RpcCommand.socket, params);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
  };
  try {
    memory.mobj.write(new TextEncoder().encode('127.0.0.1\0'));
    const handle = rpcValue('output');
    await request([
      rpcValue('input', RpcSocket.open, instance),
      rpcValue('input', port, protocol, 0),
      { ...rpcMemref('input', memory.mobj), size: 10 },
      handle,
    ]);
    try {
      const bytes = data.read(0, Math.min(data.capacity, 1024));
      memory.mobj.write(bytes);
      const sent = rpcValue('inout', 2000);
      const to = { ...rpcMemref('input', memory.mobj), size: bytes.length };
      await request([rpcValue('input', RpcSocket.send, instance, handle.a), to, sent]);
      const from = { ...rpcMemref('output', memory.mobj), size: 1024 };
      await request([rpcValue('input', RpcSocket.receive, instance, handle.a), from, rpcValue('input', 200)]);
      const came = memory.mobj.read(0, Math.min(from.size, 1024, data.capacity));
      data.write(came);
      data.size = came.length;
    } finally {
      await call.rpc(RpcCommand.socket, [rpcValue('input', RpcSocket.close, instance, handle.a)]);
    }
  } finally {
    await call.freeRpcMemory(memory);
  }
}

/** Makes an RPC with any command and numbers; resources that it opened are released. */
async function ask(call, questions) {
  const { a: number } = call.value(0);
  const { command: rpcCommand, params } = questions.get(number) ?? {};
  questions.delete(number);
  const memory = await call.allocateRpcMemory(4096);
  try {
    // A file name that no other actor uses, in case the request contains a name.
    memory.mobj.write(new TextEncoder().encode(`hostile/${number}\0`));
    const asked = params.map((param) =>
      param.type === 'memref' && param.there ? { ...param, mobj: memory.mobj } : param,
    );
    const result = await call.rpc(rpcCommand, asked);
    call.value(0).b = result;
    const [first] = asked;
    if (result !== TeeResult.SUCCESS) return;
    if (rpcCommand === RpcCommand.fs && (first.a === RpcFs.open || first.a === RpcFs.create))
      await call.rpc(RpcCommand.fs, [rpcValue('input', RpcFs.close, asked[2].a)]);
    if (rpcCommand === RpcCommand.fs && first.a === RpcFs.opendir)
      await call.rpc(RpcCommand.fs, [rpcValue('input', RpcFs.closedir, asked[2].a)]);
    if (rpcCommand === RpcCommand.socket && first.a === RpcSocket.open)
      await call.rpc(RpcCommand.socket, [rpcValue('input', RpcSocket.close, first.b, asked[3].a)]);
  } finally {
    await call.freeRpcMemory(memory);
  }
}
