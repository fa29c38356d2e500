/** Exit code for bad usage, an invalid file, or output that cannot be written. */
export const badUsage = 2;
