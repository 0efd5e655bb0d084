/**
 * Set by scripts/build.mjs: what the executable was built from. The shim has the same value, and the two work together
 * only where it is equal.
 */
declare const NETLOOM_BUILD: string | undefined;

export const BUILD: string = typeof NETLOOM_BUILD === 'string' ? NETLOOM_BUILD : 'unknown';
