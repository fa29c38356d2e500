import type { memref, none, Tee, TeecError, temporary, value } from '../../src/index.js';

/** Of vitest, or of node:test. */
export interface TestFramework {
  describe(name: string, define: () => void): unknown;
  it(name: string, test: () => Promise<void>): unknown;
  before(hook: () => Promise<void>): unknown;
  after(hook: () => Promise<void>): unknown;
}

export interface BehaviourWorld {
  readonly name: string;
  open(): Promise<Tee>;
  /** Who the clients are. */
  readonly identity: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  /** Why it has no memory of a client's own. */
  readonly unregistered?: string | undefined;
}

export interface ClientApi {
  readonly memref: typeof memref;
  readonly none: typeof none;
  readonly temporary: typeof temporary;
  readonly value: typeof value;
  readonly TeecError: typeof TeecError;
}

/** What every TEE does for its clients, whatever world it is in. */
export function behaviourSuite(framework: TestFramework, api: ClientApi, world: BehaviourWorld): void;
