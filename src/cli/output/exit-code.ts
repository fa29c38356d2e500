/** Exit code: bad usage, a file that is not what it should be, or output that cannot be written. */
export const badUsage = 2;
