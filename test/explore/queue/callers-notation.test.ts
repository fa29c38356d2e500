import { describe, expect, it } from 'vitest';
import { callerNotation, parseCallers } from '../../../src/explore/queue/model/callers-notation.js';

describe('the notation of callers', () => {
  it('reads calls, sessions, RPCs, dependencies, closes and repetition', () => {
    expect(parseCallers('N,S1r2>0,M2+S2!+C2,(N+S)*')).toEqual({
      callers: [
        [{ op: 'call', session: -1, rpc: 0, needs: -1, forever: false }],
        [{ op: 'call', session: 1, rpc: 2, needs: 0, forever: false }],
        [
          { op: 'system_session', session: 2 },
          { op: 'call', session: 2, rpc: 0, needs: -1, forever: true },
          { op: 'close', session: 2, rpc: 0, needs: -1, forever: false },
        ],
        [
          { op: 'call', session: -1, rpc: 0, needs: -1, forever: false },
          { op: 'call', session: 0, rpc: 0, needs: -1, forever: false },
        ],
      ],
      repeating: [3],
    });
  });

  it.each(['X', 'X2>1', 'B+U', 'Rr1+R1', 'N', 'S', 'S1r2>1', 'M2+S2!+C2', '(N+S)*', 'N*'])(
    'writes %s as it was read',
    (text) => {
      const { callers, repeating } = parseCallers(`${text},N`);
      expect(callerNotation(callers[0] ?? [], repeating.includes(0))).toBe(text);
    },
  );

  it("reads the driver's own calls", () => {
    const rest = { op: 'call', rpc: 0, needs: -1, forever: false };
    expect(parseCallers('X1+B+U+R').callers).toEqual([
      [
        { ...rest, own: 'cancel', session: 1 },
        { ...rest, own: 'bottom-half', session: -1 },
        { ...rest, own: 'unregister', session: -1 },
        { ...rest, own: 'register', session: 0 },
      ],
    ]);
  });

  it('repeats callers', () => {
    expect(parseCallers('3*N,S').callers).toHaveLength(4);
  });

  it.each([
    ['', '"" is not a caller'],
    ['N,,S', '"" is not a caller'],
    ['Y', '"Y" is not an operation'],
    ['N1', 'N has none'],
    ['B1', 'B has none'],
    ['U2', 'U has none'],
    ['X3', 'sessions are 0 to 2'],
    ['S3', 'sessions are 0 to 2'],
    ['M!', 'M makes no call'],
    ['N>0', 'caller 0 needs 0: it waits for itself'],
    ['N>1,S+N>2,N>0', 'caller 0 needs 1 needs 2 needs 0: they wait for each other'],
    ['N>1,N!', 'caller 1 never finishes'],
    ['N>4,S', '">4", but the last caller is 1'],
    ['(N+C)*', 'closes a session for ever'],
  ])('refuses "%s"', (text, message) => {
    expect(() => parseCallers(text)).toThrow(message);
  });
});
