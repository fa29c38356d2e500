/** The storage cases of xtest, and their prerequisites. */
const storage = ['regression_1004', 'regression_60', 'regression_8002', 'pkcs11_1003', 'pkcs11_1004'];

/**
 * The OP-TEEs of the matrix: Debian's packages, and builds of Debian's source package. `build` has the arguments of
 * `normalworld optee build`; `xtest` has the cases to run, or true for all.
 */
export const builds = [
  { name: 'debian-trixie', what: "Debian's 4.5", fetch: 'trixie', xtest: true },
  { name: 'debian-sid', what: "Debian's 4.10", fetch: 'sid', xtest: true },
  { name: 'sid-ffa-threads4', what: 'FF-A', build: ['--ffa', '--threads', '4'], xtest: true },
  { name: 'sid-threads8-cores4', what: '8 threads, 4 CPUs', build: ['--threads', '8', '--cores', '4'], cpus: 4 },
  { name: 'sid-rpmb', what: 'RPMB and files', build: ['--rpmb'], xtest: storage },
  {
    name: 'sid-rpmb-REE_FS=n',
    what: 'RPMB only',
    build: ['--rpmb', '--set', 'CFG_REE_FS=n'],
    xtest: storage,
  },
  { name: 'sid-no-reserved-shm', what: 'no reserved memory', build: ['--no-reserved-shm'] },
  {
    name: 'sid-no-dynamic-shm',
    what: 'no dynamic memory',
    build: ['--no-dynamic-shm'],
    noXtest: 'clients in other processes share memory that is mapped page by page, which this OP-TEE cannot',
  },
  { name: 'sid-pager', what: 'pager', build: ['--pager'] },
  { name: 'sid-release', what: 'release', build: ['--release'] },
  {
    name: 'sid-CORE_ASLR=n-CORE_SANITIZE_KADDRESS=y',
    what: 'KASAN',
    build: ['--set', 'CFG_CORE_SANITIZE_KADDRESS=y', '--set', 'CFG_CORE_ASLR=n'],
  },
];
