import type { OptionNames } from '../known-options.js';
import { LoginClass } from '../protocol/optee-msg.js';
import { TeeResult } from '../protocol/tee-result.js';
import { nilUuid, type Uuid, uuidVersion5 } from '../protocol/uuid.js';
import { show } from '../show.js';
import { badParameters, checkOptions, commsError } from './teec-error.js';

/** The identity of a client as the kernel knows it: numeric user, group, and supplementary groups. */
export interface ClientIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** The login that a client requests when it opens a session. */
export type Login =
  | { readonly login: 'public' }
  | { readonly login: 'user' }
  /** `gid` must be the client's own group or one of its supplementary groups. */
  | { readonly login: 'group'; readonly gid: number }
  /** Kernel clients only. */
  | { readonly login: 'ree-kernel' };

/** The namespace of client UUIDs (Linux drivers/tee/tee_core.c, `tee_client_uuid_ns`). */
const clientUuidNamespace: Uuid = '58ac9ca0-2086-4683-a1b8-ec4bc08e01b6';

/** The identity of a client in a message. */
export interface ClientLogin {
  readonly loginClass: LoginClass;
  /** Version 5 UUID of "uid=<hex>" or "gid=<hex>"; nil for public and kernel logins. */
  readonly uuid: Uuid;
}

/**
 * The login class and client UUID of a session, computed here and never taken from the client.
 * @throws TeecError BAD_PARAMETERS for a kernel login from user space, ACCESS_DENIED for a group the client is not in.
 */
export function clientLogin(login: Login, identity: ClientIdentity, kernel: boolean): ClientLogin {
  checkLogin(login);
  switch (login.login) {
    case 'public':
      return { loginClass: LoginClass.public, uuid: nilUuid };
    case 'user':
      return {
        loginClass: LoginClass.user,
        uuid: uuidVersion5(`uid=${identity.uid.toString(16)}`, clientUuidNamespace),
      };
    case 'group':
      if (login.gid !== identity.gid && !identity.groups.includes(login.gid))
        throw commsError(TeeResult.ERROR_ACCESS_DENIED, `group login: the client is not in group ${login.gid}`);
      return {
        loginClass: LoginClass.group,
        uuid: uuidVersion5(`gid=${login.gid.toString(16)}`, clientUuidNamespace),
      };
    case 'ree-kernel':
      if (!kernel) throw badParameters('login class REE_KERNEL is for kernel clients only');
      return { loginClass: LoginClass.reeKernel, uuid: nilUuid };
    default:
      return login satisfies never;
  }
}

const logins = {
  public: { login: true },
  user: { login: true },
  group: { login: true, gid: true },
  'ree-kernel': { login: true },
} as const satisfies { readonly [Kind in Login['login']]: OptionNames<Extract<Login, { login: Kind }>> };

/** For callers without types: without this check, an invalid login would become another, valid one. */
function checkLogin(login: Login): void {
  const kind: unknown = typeof login === 'object' && login !== null ? login.login : login;
  const kinds = Object.keys(logins);
  if (typeof login !== 'object' || login === null || typeof kind !== 'string' || !kinds.includes(kind))
    throw badParameters(
      `login ${typeof kind === 'string' ? JSON.stringify(kind) : show(kind)}; allowed: ${kinds.map((name) => `{ login: '${name}'${name === 'group' ? ', gid' : ''} }`).join(', ')}`,
    );
  checkOptions<Login>(`login '${kind}'`, login, logins[login.login] as OptionNames<Login>);
  if (login.login === 'group') checkId('group login: gid', login.gid);
}

const identityNames: OptionNames<ClientIdentity> = { uid: true, gid: true, groups: true };

/** @throws TeecError BAD_PARAMETERS naming the value that is not a numeric user or group. */
export function checkIdentity(identity: ClientIdentity): void {
  checkOptions('identity', identity, identityNames);
  checkId('identity: uid', identity.uid);
  checkId('identity: gid', identity.gid);
  if (!Array.isArray(identity.groups)) throw badParameters('identity: groups must be an array of numbers');
  for (const group of identity.groups) checkId('identity: a group', group);
}

function checkId(what: string, id: number): void {
  if (!(Number.isInteger(id) && id >= 0 && id <= 0xffff_ffff))
    throw badParameters(`${what} is ${show(id)}; allowed: integers from 0 to 4294967295`);
}
