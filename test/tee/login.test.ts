import { describe, expect, it } from 'vitest';
import { LoginClass } from '../../src/protocol/optee-msg.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { nilUuid } from '../../src/protocol/uuid.js';
import { clientLogin } from '../../src/tee/login.js';

const identity = { uid: 1000, gid: 1000, groups: [27] };

describe('the identity that a session carries', () => {
  it('is the nil UUID for a public login', () => {
    expect(clientLogin({ login: 'public' }, identity, false)).toEqual({ loginClass: LoginClass.public, uuid: nilUuid });
  });

  it('is computed from the user id in hexadecimal, as Linux does it', () => {
    // uuid5(58ac9ca0-2086-4683-a1b8-ec4bc08e01b6, "uid=3e8"), computed with Python's uuid module
    expect(clientLogin({ login: 'user' }, identity, false)).toEqual({
      loginClass: LoginClass.user,
      uuid: 'fc34275c-d8dd-5ba7-968b-504718363b87',
    });
  });

  it('is computed from a group that the client is in', () => {
    expect(clientLogin({ login: 'group', gid: 1000 }, identity, false).uuid).toBe(
      '0ece43ed-001d-51bd-bab7-480c8954c3cf',
    );
    expect(clientLogin({ login: 'group', gid: 27 }, identity, false).loginClass).toBe(LoginClass.group);
  });

  it('is refused for a group that the client is not in', () => {
    expect(() => clientLogin({ login: 'group', gid: 0 }, identity, false)).toThrow(
      expect.objectContaining({ code: TeeResult.ERROR_ACCESS_DENIED }),
    );
  });

  it('is the kernel only for kernel clients', () => {
    expect(clientLogin({ login: 'ree-kernel' }, identity, true).loginClass).toBe(0x8000_0000);
    expect(() => clientLogin({ login: 'ree-kernel' }, identity, false)).toThrow(/kernel clients only/);
  });
});
