/** The programs of a build, which lie beside each other: scripts/build.mjs. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NetloomError } from '../error.ts';

export const EXECUTABLE = 'netloom';
/**
 * What runtimes execute, and what that executes where no agent answers. Neither is there where the build had no C
 * compiler.
 */
export const SHIM = 'netloom-shim';
export const CNI = 'netloom-cni';

/** Where the program with this name is, that of this build. */
export function built(name: string): string {
  return name === EXECUTABLE ? process.execPath : join(dirname(process.execPath), name);
}

/**
 * The name of what plugin types are links to.
 * @throws NetloomError no-program for a shim that has nothing to fall back to
 */
export function linkTarget(): string {
  if (!existsSync(built(SHIM))) return EXECUTABLE;
  if (existsSync(built(CNI))) return SHIM;
  throw new NetloomError('no-program', `Cannot use "${built(SHIM)}" for the plugins: "${CNI}" is missing beside it`);
}
