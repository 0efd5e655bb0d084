/**
 * How long a program, or a test of several flows, may take, in milliseconds. One that hangs fails its own test and does
 * not hold up the run. If the guest's clock counts instructions (scripts/bed/machine.mjs), it leaps whenever the guest
 * waits for a file of this machine: by some minutes while a program starts.
 */
export const PATIENCE = process.env['NETLOOM_TEST_COUNTED'] === '1' ? 24 * 3_600_000 : 240_000;
