import { createHash } from 'node:crypto';
import { memref, temporary, value } from '../dist/index.js';
import { command } from './applications.js';

/**
 * A well-behaved client, which must get the right answer to every request, whatever happens to other clients. Each of
 * its sessions has a sum of its own; buffers of all kinds are returned with a mask applied.
 */
export class Witness {
  sums = new Map();
  stopped = false;

  constructor(findings, draws) {
    this.findings = findings;
    this.draws = draws;
  }

  async open(tee, uuids) {
    this.context = tee.openContext({ label: 'witness' });
    for (const uuid of uuids) this.sums.set(await this.context.openSession(uuid), 0);
    this.allocated = await this.context.allocateSharedMemory(8192);
    if (tee.device.version.registeredMemory)
      this.registered = await this.context.registerSharedMemory(new Uint8Array(6000));
  }

  /** Run until it is stopped. */
  async run() {
    while (!this.stopped) {
      await this.step();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async step() {
    const { draws, findings } = this;
    try {
      const [session, sum] = draws.of([...this.sums]);
      if (draws.chance(0.5)) {
        const add = draws.upTo(2 ** 32);
        const wanted = (sum + add) >>> 0;
        const [out] = await session.invoke(command.sum, [value.inout(add, 0)]);
        this.sums.set(session, wanted);
        findings.check(out.a === wanted, () => `the witness's session has the sum ${out.a}, and ${wanted} is right`);
        findings.count('sums of the witness');
      } else {
        await this.masked(session);
      }
    } catch (error) {
      findings.add(`a call of the witness, who did nothing wrong, failed: ${error?.stack ?? error}`);
      this.stopped = true;
    }
  }

  async masked(session) {
    const { draws, findings } = this;
    const mask = draws.upTo(256);
    const memory = draws.of([undefined, this.allocated, this.registered]);
    const size = memory === undefined ? draws.of([1, 17, 4096, 4097, 70_000]) : 1 + draws.upTo(memory.size - 1);
    const data = memory === undefined ? new Uint8Array(size) : memory.bytes.subarray(0, size);
    data.fill(draws.upTo(256));
    data[draws.upTo(size)] = draws.upTo(256);
    const wanted = createHash('sha1')
      .update(data.map((octet) => octet ^ mask))
      .digest('hex');
    const parameter = memory === undefined ? temporary.inout(data) : memref.inout(memory, { size });
    const [, out] = await session.invoke(command.mask, [value.input(mask), parameter]);
    findings.check(
      createHash('sha1').update(out).digest('hex') === wanted,
      () => `${size} bytes of ${memory === undefined ? 'temporary' : 'shared'} memory came back wrong`,
    );
    findings.count('buffers of the witness');
  }

  async close() {
    await this.context.close();
  }
}
