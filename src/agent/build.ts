/**
 * Put here by scripts/build.mjs: what the executable was built from. The shim has the same, and they serve each other
 * only where it is.
 */
declare const NETLOOM_BUILD: string | undefined;

export const BUILD: string = typeof NETLOOM_BUILD === 'string' ? NETLOOM_BUILD : 'unknown';
