import { parseConsoleLine } from '../worlds/qemu/console-line.js';

/** A code address in a dump on the console. */
export interface CodePlace {
  readonly address: bigint;
  /** UUID of the application or library, or `core` for OP-TEE itself; undefined if the dump does not say. */
  readonly image: string | undefined;
  /** Offset from the image's load address. */
  readonly offset: number | undefined;
  /**
   * True for a return address: the call instruction is before it. The first address of an abort is the faulting
   * instruction itself, and OP-TEE's unwinder for arm64 prints the calls themselves (return addresses minus 4).
   */
  readonly returns: boolean;
}

/** The report that OP-TEE prints when an application or the core panics or aborts. */
export interface Dump {
  readonly kind: 'panic' | 'abort' | 'core-panic';
  /** UUID of the application; undefined if the dump does not say. */
  readonly uuid: string | undefined;
  /** The argument of TEE_Panic. */
  readonly code: number | undefined;
  /** For an abort: the faulting address. */
  readonly address: bigint | undefined;
  /** By name: `x0`, `elr`, `esr`. */
  readonly registers: ReadonlyMap<string, bigint>;
  /** Innermost first. If an abort's report has no call stack (CFG_UNWIND=n): the faulting instruction. */
  readonly callStack: readonly CodePlace[];
  /** For an abort just below the application's stack (a stack overflow): the stack's size in bytes. */
  readonly overflown: number | undefined;
}

/** How far below its end an access counts as a stack overflow; large because of arrays on the stack. */
const farthest = 0x1_0000n;

interface Loaded {
  readonly image: string;
  readonly address: bigint;
}

interface Region {
  readonly start: bigint;
  readonly end: bigint;
  readonly image: number | undefined;
  readonly isStack: boolean;
}

const hexadecimal = '(?:0x)?[0-9a-fA-F]+';
const panic = /^TA panicked with code (?<code>0x[0-9a-f]+|\d+)/i;
const abort = new RegExp(
  `^(?<who>User|Core|Kernel)(?: (?:TA|mode))? [\\w-]*abort(?: at address)? (?<address>${hexadecimal})`,
  'i',
);
const corePanic = /^Panic( '.*')?( at .*)?\s*$/;
/** OP-TEE 2 printed UUIDs without the last hyphen. */
const uuidForm = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-?[0-9a-f]{12}';
const status = new RegExp(`Status of TA (?<uuid>${uuidForm})`, 'i');
/** Up to OP-TEE 3.7, which has no list of images; in OP-TEE 2 without the architecture. */
const loadAddress = new RegExp(`^[ -]*(?:arch: \\w+ +)?load addr(?:ess)? ?: (?<address>${hexadecimal})`);
const architecture = /^ *arch: (?<name>arm|aarch64)\b/;
const region = new RegExp(
  `^ *region +\\d+: va (?<start>${hexadecimal}) pa ${hexadecimal} size (?<size>${hexadecimal}) flags \\S+(?:.*?\\[(?<image>\\d+)\\])?(?<stack> \\(stack\\))?`,
);
const loaded = new RegExp(`^ *\\[(?<number>\\d+)\\] (?<uuid>${uuidForm}) @ (?<address>${hexadecimal})`, 'i');
const loadedEarly = new RegExp(`^ELF \\((?<uuid>[0-9a-f-]{36})\\) at (?<address>${hexadecimal})`, 'i');
const coreLoaded = new RegExp(`^ ?TEE load address @ (?<address>${hexadecimal})`);
const stackBegins = /^ *Call stack:/;
const stackEntry = /^ *(?:pc )?(?<address>0x[0-9a-f]+)\b/i;
const register =
  /\b(x\d{1,2}|r\d{1,2}|esr|far|elr|spsr|cpsr|fsr|ttbr[01]|cidr|usr_sp|usr_lr|sp_el0|sp|pc|lr) +(0x[0-9a-f]+|[0-9a-f]{8,16})\b/gi;

/**
 * Reads dumps from console lines as they arrive, in the formats of the supported OP-TEE versions. Prefixes such as a
 * vendor's time stamp are skipped.
 */
export class DumpReader {
  private kind: Dump['kind'] | undefined;
  private uuid: string | undefined;
  private code: number | undefined;
  private address: bigint | undefined;
  private registers = new Map<string, bigint>();
  private callStack: CodePlace[] = [];
  private regions: Region[] = [];
  private images = new Map<number, Loaded>();
  private core: Loaded | undefined;
  private inStack = false;
  /** The lines of the stack have OP-TEE's form. */
  private isStackParsed = false;
  /** It is code for 32-bit Arm; undefined if the dump does not say. */
  private is32Bit: boolean | undefined;
  private withoutStack: Dump | undefined;

  /** @returns the code address if the line is an entry of a call stack. */
  read(text: string): CodePlace | undefined {
    const { parsed } = parseConsoleLine(text);
    const line = parsed?.message ?? text.replace(/^.*?\b[EIDFM]\/\w+:\s*/, '');
    if (this.inStack) {
      const entry = stackEntry.exec(line)?.groups?.address;
      // Lines of others in between: of the normal world on the same UART, of another processor.
      const isForeign = parsed === undefined ? this.isStackParsed : parsed.level !== 'error';
      if (isForeign) return undefined;
      if (entry !== undefined) {
        const place = this.stackPlace(entry);
        this.callStack.push(place);
        return place;
      }
      this.inStack = false;
    }
    if (stackBegins.test(line)) {
      this.inStack = true;
      this.isStackParsed = parsed !== undefined;
      this.callStack = [];
      return undefined;
    }
    this.readFacts(line, parsed?.module === 'TC' || parsed === undefined);
    return undefined;
  }

  /** The data read since the last dump began; undefined if none began. */
  get dump(): Dump | undefined {
    const { kind, uuid, code, address, registers } = this;
    if (kind === undefined) return undefined;
    return { kind, uuid, code, address, registers, callStack: this.stackOrFault(), overflown: this.overflown() };
  }

  /** The previous dump, if another has begun since the last call and it had no call stack. */
  takeWithoutStack(): Dump | undefined {
    const dump = this.withoutStack;
    this.withoutStack = undefined;
    return dump;
  }

  /** The text has ended. */
  end(): void {
    if (this.kind !== undefined && this.callStack.length === 0) this.withoutStack = this.dump;
  }

  private stackOrFault(): readonly CodePlace[] {
    const pc = this.registers.get('elr') ?? this.registers.get('pc');
    return this.callStack.length > 0 || this.kind === 'panic' || pc === undefined
      ? this.callStack
      : [this.placeOf(pc, false)];
  }

  private stackPlace(entry: string): CodePlace {
    // The core prints all digits of an address.
    const is32Bit = this.is32Bit ?? entry.length <= '0x12345678'.length;
    // A return address in Thumb code has bit 0 set.
    const address = is32Bit ? BigInt(entry) & ~1n : BigInt(entry);
    const isFirst = this.callStack.length === 0;
    return this.placeOf(address, isFirst ? this.kind === 'panic' : is32Bit);
  }

  private overflown(): number | undefined {
    const { address } = this;
    const stack = this.regions.find(({ isStack }) => isStack);
    if (this.kind !== 'abort' || address === undefined || stack === undefined) return undefined;
    // The stack pointer is below the stack's end, or close above it if one frame exceeded it.
    const pointer = this.registers.get('sp_el0') ?? this.registers.get('usr_sp');
    const isBelow = address < stack.start && stack.start - address <= farthest;
    const isStackAccess = pointer !== undefined && pointer < stack.end && pointer >= stack.start - farthest;
    return isBelow && isStackAccess ? Number(stack.end - stack.start) : undefined;
  }

  private readFacts(line: string, byCore: boolean): void {
    const died = byCore ? (panic.exec(line) ?? abort.exec(line) ?? corePanic.exec(line)) : null;
    if (died !== null) {
      const { code, address, who } = died.groups ?? {};
      // After an abort, OP-TEE also reports a panic of the application. It is the same event.
      if (code !== undefined && this.kind === 'abort' && this.callStack.length === 0) return;
      this.begin(code !== undefined ? 'panic' : address !== undefined ? 'abort' : 'core-panic');
      this.code = code === undefined ? undefined : Number(code);
      this.address = address === undefined ? undefined : hex(address);
      if (who !== undefined && who.toLowerCase() !== 'user') this.kind = 'core-panic';
      return;
    }
    this.uuid = uuidOf(status.exec(line)) ?? this.uuid;
    const arch = architecture.exec(line)?.groups?.name;
    if (arch !== undefined) this.is32Bit = arch === 'arm';
    const at = loadAddress.exec(line)?.groups?.address;
    if (at !== undefined && this.uuid !== undefined) this.images.set(-1, { image: this.uuid, address: hex(at) });
    const area = region.exec(line)?.groups;
    if (area !== undefined) {
      const start = hex(area.start);
      this.regions.push({
        start,
        end: start + hex(area.size),
        image: area.image === undefined ? undefined : Number(area.image),
        isStack: area.stack !== undefined,
      });
      return;
    }
    const image = loaded.exec(line);
    if (image !== null) {
      const { number, address } = image.groups ?? {};
      this.images.set(Number(number), { image: uuidOf(image) ?? '', address: hex(address) });
      return;
    }
    const early = loadedEarly.exec(line)?.groups;
    if (early !== undefined) this.early.set((early.uuid ?? '').toLowerCase(), hex(early.address));
    const core = coreLoaded.exec(line)?.groups;
    if (core !== undefined) this.core = { image: 'core', address: hex(core.address) };
    if (this.kind === undefined || this.regions.length > 0) return;
    for (const [, name = '', value] of line.matchAll(register)) {
      this.registers.set(name.toLowerCase(), hex(value));
      if (/^[xr]\d/i.test(name)) this.is32Bit = /^r/i.test(name);
    }
  }

  /** Load addresses printed while images were loaded; some builds print nothing else. */
  private readonly early = new Map<string, bigint>();

  private begin(kind: Dump['kind']): void {
    this.end();
    this.kind = kind;
    this.is32Bit = undefined;
    this.uuid = undefined;
    this.registers = new Map();
    this.callStack = [];
    this.regions = [];
    this.images = new Map();
  }

  private placeOf(address: bigint, returns: boolean): CodePlace {
    const number = this.regions.find(({ start, end }) => address >= start && address < end)?.image;
    const found = number === undefined ? this.nearest(address) : this.images.get(number);
    return {
      address,
      image: found?.image ?? (this.kind === 'core-panic' && this.core === undefined ? 'core' : undefined),
      offset: found === undefined ? undefined : Number(address - found.address),
      returns,
    };
  }

  /**
   * If the regions do not say whose they are: the image loaded closest below it, within the largest size of an image.
   */
  private nearest(address: bigint): Loaded | undefined {
    if (this.regions.some(({ image }) => image !== undefined)) return undefined;
    const candidates = [
      ...this.images.values(),
      ...[...this.early].map(([image, at]) => ({ image, address: at })),
      ...(this.core === undefined ? [] : [this.core]),
    ];
    return candidates
      .filter((each) => each.address <= address && address - each.address < 16n * 1024n * 1024n)
      .sort((a, b) => (a.address > b.address ? -1 : 1))[0];
  }
}

function uuidOf(found: RegExpExecArray | null): string | undefined {
  const digits = found?.groups?.uuid?.toLowerCase().replaceAll('-', '');
  return digits?.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function hex(text: string | undefined): bigint {
  return BigInt(text?.startsWith('0x') || text?.startsWith('0X') ? text : `0x${text || '0'}`);
}
