/** The state of the page that a link stores: everything that the user can change. */
export interface State {
  readonly text: string;
  readonly seed: number;
  readonly queues: readonly string[];
  readonly threads: number | null;
  readonly clients: number | null;
  /** The last action, which is repeated when the link is opened. */
  readonly did: 'run' | 'explore' | null;
  /** The step of the counterexample that is shown. */
  readonly step: number;
}

/** The longest text that a link may decompress to, in octets. */
const longest = 200_000;

/** Encode the state as the fragment of a URL. */
export async function packed(state: State): Promise<string> {
  const stream = new Blob([JSON.stringify(state)]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const octets = new Uint8Array(await new Response(stream).arrayBuffer());
  const base64 = btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(''));
  return `#${base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}

/** Decode the state from the fragment of a URL; undefined if it has none or is damaged. */
export async function unpacked(hash: string): Promise<State | undefined> {
  if (hash.length < 2) return undefined;
  try {
    const base64 = hash.slice(1).replaceAll('-', '+').replaceAll('_', '/');
    const octets = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    return checked(JSON.parse(await bounded(stream)));
  } catch {
    return undefined;
  }
}

async function bounded(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (text.length > longest) throw new RangeError('the link would be too long');
  }
}

function checked(json: unknown): State | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { text, seed, queues, threads, clients, did, step } = json as Record<string, unknown>;
  if (typeof text !== 'string') return undefined;
  const number = (value: unknown, most: number) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most ? value : null;
  return {
    text,
    seed: number(seed, 0xffff_ffff) ?? 1,
    queues: Array.isArray(queues) ? queues.filter((queue) => typeof queue === 'string') : [],
    threads: number(threads, 64),
    clients: number(clients, 64),
    did: did === 'run' || did === 'explore' ? did : null,
    step: number(step, 1_000_000) ?? 0,
  };
}
