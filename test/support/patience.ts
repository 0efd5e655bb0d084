/**
 * How long a program or a test of several flows may take, in milliseconds: what hangs is to fail its own test, not to
 * hold up the run. Where the clock counts the guest's instructions (scripts/bed/machine.mjs) it leaps whenever the guest
 * waits for a file of this machine: some minutes while a program starts.
 */
export const PATIENCE = process.env['NETLOOM_TEST_COUNTED'] === '1' ? 24 * 3_600_000 : 240_000;
