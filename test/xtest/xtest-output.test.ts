import { describe, expect, it } from 'vitest';
import { XtestOutput } from '../../src/xtest/xtest-output.js';

const text = `
Run test suite with level=0
* regression_1001 Core self tests
o regression_1001.1 a part
  regression_1001.1 OK
  regression_1001 OK

* pkcs11_1028 PKCS11: destroy
o pkcs11_1028.1 a part
./host/xtest/pkcs11_1000.c:8975: 0 has an unexpected value
./host/xtest/pkcs11_1000.c:8999: another
  pkcs11_1028.1 FAILED
  pkcs11_1028 FAILED
+-----------------------------------------------------
Result of testsuite regression+pkcs11:
regression_1001 OK
pkcs11_1028 FAILED first error at ./host/xtest/pkcs11_1000.c:8975
+-----------------------------------------------------
12 subtests of which 2 failed
2 test cases of which 1 failed`;

describe('what xtest prints', () => {
  it('is parsed into cases with times and the first error, and counts', () => {
    const output = new XtestOutput();
    text.split('\n').forEach((line, index) => {
      output.line(line, index * 10);
    });
    expect(output.cases).toEqual([
      { name: 'regression_1001', title: 'Core self tests', ok: true, firstError: undefined, milliseconds: 30 },
      {
        name: 'pkcs11_1028',
        title: 'PKCS11: destroy',
        ok: false,
        firstError: './host/xtest/pkcs11_1000.c:8975: 0 has an unexpected value',
        milliseconds: 50,
      },
    ]);
    expect(output.counts).toEqual({ subtests: 12, failedSubtests: 2 });
    expect(output.unfinished).toBeUndefined();
  });

  it('shows in which case it stopped', () => {
    const output = new XtestOutput();
    output.line('* regression_1008 TEE internal client API', 0);
    expect(output.unfinished).toBe('regression_1008');
  });
});
