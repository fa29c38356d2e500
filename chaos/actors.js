import { temporary, value } from '../dist/index.js';
import { command } from './applications.js';
import { absurd, nonsense } from './draws.js';
import { hostileRequest } from './faults/requests.js';

/**
 * A client whose calls are disturbed by faults. Each step may fail, but only as a TEE call can fail; if it succeeds,
 * its result must be right. `world` has the TEE, its applications, its findings and the addresses of servers.
 */
export class Actor {
  constructor(world, draws, number) {
    this.world = world;
    this.draws = draws;
    this.number = number;
    /** Content of this actor's files; undefined if it is unknown. */
    this.files = new Map();
    /** Files that are being written: concurrent writes have no defined result. */
    this.beingWritten = new Set();
  }

  async run(steps) {
    for (let step = 0; step < steps; step++) {
      await this.withContext(1 + this.draws.upTo(8));
      if (this.world.over()) return;
    }
  }

  async withContext(steps) {
    const { tee, apps, findings } = this.world;
    const context = tee().openContext({ label: `actor ${this.number}` });
    try {
      const uuid = this.draws.of([apps.pseudo.uuid, apps.user.uuid]);
      const { result: session } = await findings.mayFail('open', () => context.openSession(uuid));
      if (session === undefined) return;
      const acts = [];
      for (let step = 0; step < steps && !this.world.over(); step++) {
        const act = this.draws.of(this.acts)(context, session);
        // Sequentially or concurrently.
        if (this.draws.chance(0.6)) await act;
        else acts.push(act);
      }
      if (this.draws.chance(0.3)) {
        findings.count('clients killed');
        await context.kill();
      }
      await Promise.all(acts);
    } finally {
      await context.close().catch((error) => findings.add(`closing a client failed: ${error?.stack ?? error}`));
    }
  }

  call(what, session, number, parameters, options) {
    return this.world.findings.mayFail(what, () => session.invoke(number, parameters, options));
  }

  acts = [
    (_context, session) => this.put(session),
    (_context, session) => this.get(session),
    (_context, session) => this.put(session),
    (_context, session) => this.get(session),
    (_context, session) => this.ask(session),
    (_context, session) => this.ask(session),
    (_context, session) => this.exchange(session),
    (_context, session) => this.wait(session),
    () => this.waitForDeath(),
    () => this.dieWithFile(),
    (context) => this.absurdMemory(context),
    (_context, session) => this.absurdCall(session),
    (_context, session) => this.notification(session),
    (context) => this.die(context),
    (context, session) => this.manyAtOnce(context, session),
  ];

  async put(session) {
    const { draws } = this;
    // A file name of this actor. Each file has one writer at a time, so that its content is known.
    const name = this.number * 100 + draws.upTo(4);
    if (this.beingWritten.has(name)) return;
    this.beingWritten.add(name);
    const offset = draws.of([0, 0, 100, 5000]);
    const bytes = draws.bytes(1 + draws.upTo(3000));
    this.files.set(name, undefined);
    const { result } = await this.call('put', session, command.put, [
      value.input(name, offset),
      temporary.input(bytes),
    ]);
    if (result !== undefined) this.files.set(name, { offset, bytes });
    this.beingWritten.delete(name);
  }

  async get(session, mustSucceed = false) {
    const names = [...this.files].filter(([name, file]) => file !== undefined && !this.beingWritten.has(name));
    if (names.length === 0) return;
    await this.verify(session, ...this.draws.of(names), mustSucceed);
  }

  async verify(session, name, file, mustSucceed) {
    const room = file.bytes.length + 10;
    const { result, error } = await this.call('get', session, command.get, [
      value.input(name, file.offset),
      temporary.output(room),
    ]);
    // The file may have been rewritten meanwhile.
    if (this.files.get(name) !== file) return;
    if (result === undefined) {
      if (mustSucceed) this.world.findings.add(`file ${name} cannot be read any more: ${error?.message ?? error}`);
      return;
    }
    const same = Buffer.from(result[1]).equals(Buffer.from(file.bytes));
    this.world.findings.check(
      same,
      () => `file ${name} has ${result[1].length} bytes, and not the ${file.bytes.length} that were written`,
    );
  }

  /** When faults have ended, all written data must be there. */
  async verifyAll(session) {
    for (const [name, file] of this.files) if (file !== undefined) await this.verify(session, name, file, true);
  }

  async ask(session) {
    const { apps } = this.world;
    const number = this.world.nextQuestion();
    apps.questions.set(number, hostileRequest(this.draws));
    await this.call('hostile request', session, command.ask, [value.inout(number, 0)]);
    apps.questions.delete(number);
  }

  async exchange(session) {
    const { echo } = this.world;
    const [port, protocol] = this.draws.of([
      [echo.tcpPort, 101],
      [echo.udpPort, 102],
      [1, 101],
      [0, 102],
    ]);
    const bytes = this.draws.bytes(1 + this.draws.upTo(900));
    const { result } = await this.call('socket', session, command.socket, [
      value.input(port, protocol),
      temporary.inout(bytes.slice()),
    ]);
    if (result === undefined) return;
    const came = result[1];
    const right = Buffer.from(bytes.subarray(0, came.length)).equals(Buffer.from(came));
    this.world.findings.check(right, () => `a socket brought other bytes back than were sent (${came.length})`);
  }

  async wait(session) {
    const controller = new AbortController();
    const ms = this.draws.of([0, 1, 5, 30]);
    const timer = setTimeout(() => controller.abort(), this.draws.upTo(20));
    await this.call('wait', session, command.wait, [value.input(ms)], { signal: controller.signal });
    clearTimeout(timer);
  }

  /** A sleep ends only with its client; a cancellation is noticed after it. */
  async waitForDeath() {
    const { tee, apps, findings, threads } = this.world;
    // The cancellation that ends it needs a free thread.
    if (this.world.sleepers + 1 >= threads) return;
    this.world.sleepers++;
    const context = tee().openContext({ label: `sleeper ${this.number}` });
    const { result: session } = await findings.mayFail('open', () => context.openSession(apps.pseudo.uuid));
    const ms = this.draws.of([5000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]);
    const asleep = session && this.call('sleep of a dead client', session, command.wait, [value.input(ms)]);
    await new Promise((resolve) => setTimeout(resolve, this.draws.upTo(10)));
    await context.kill();
    await asleep;
    this.world.sleepers--;
  }

  /** Files that an application has open when a client dies must be closed. */
  async dieWithFile() {
    const { tee, apps, findings } = this.world;
    const context = tee().openContext({ label: `holder ${this.number}` });
    const { result: session } = await findings.mayFail('open', () => context.openSession(apps.pseudo.uuid));
    const holding =
      session && this.call('file of a dead client', session, command.hold, [value.input(this.number * 100 + 50, 30)]);
    // Before the file is open, or while it is.
    await new Promise((resolve) => setTimeout(resolve, this.draws.upTo(this.draws.of([15, 60]))));
    await context.kill();
    await holding;
  }

  async absurdMemory(context) {
    const { findings } = this.world;
    const size = this.draws.of([...absurd.filter((each) => each > 2 ** 26 || each < 70_000), -1, 0.5, Number.NaN]);
    const { result: memory } = await findings.mayFail('absurd memory', () => context.allocateSharedMemory(size));
    await memory?.[Symbol.asyncDispose]();
  }

  async absurdCall(session) {
    const numbers = [...nonsense, ...absurd];
    const parameters = Array.from({ length: this.draws.upTo(6) }, () =>
      this.draws.chance(0.7)
        ? value[this.draws.of(['input', 'inout'])](this.draws.of(numbers), this.draws.of(numbers))
        : this.draws.of([temporary.output(null), temporary.input(new Uint8Array(0)), { kind: 'nothing' }]),
    );
    await this.call('absurd call', session, this.draws.of([99, ...numbers]), parameters);
  }

  async notification(session) {
    const number = 100 + this.number;
    const waiting = this.call('notified', session, command.notified, [value.input(number, 10)]);
    if (this.draws.chance(0.5)) await this.call('notify', session, command.notify, [value.input(number)]);
    await waiting;
  }

  /** An instance that panics or throws ends its own session. */
  async die(context) {
    const { apps, findings } = this.world;
    const { result: session } = await findings.mayFail('open', () => context.openSession(apps.user.uuid));
    if (session === undefined) return;
    const { result } = await this.call('panic', session, this.draws.of([command.panic, command.bug]), [
      value.input(this.draws.upTo(2 ** 32)),
    ]);
    findings.check(result === undefined, 'a TA that panicked answered with success');
    await findings.mayFail('close', () => session.close());
  }

  async manyAtOnce(_context, session) {
    await Promise.all(
      Array.from({ length: 12 }, () => {
        const mask = this.draws.upTo(256);
        return this.call('many', session, command.mask, [
          value.input(mask),
          temporary.inout(new Uint8Array(100).fill(7)),
        ]).then(({ result }) =>
          this.world.findings.check(
            result === undefined || result[1].every((octet) => octet === (7 ^ mask)),
            'one of many calls at once came back with the bytes of another',
          ),
        );
      }),
    );
  }
}
