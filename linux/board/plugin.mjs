/** The plugin of OP-TEE's test suite, for `normalworld supplicant --plugin` in a guest. */
export { testPlugin as default } from './dist/xtest/test-plugin.js';
