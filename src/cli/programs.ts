/** The programs of a build, which are in one directory: scripts/build.mjs. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NetloomError } from '../error.ts';

export const EXECUTABLE = 'netloom';
/**
 * What runtimes execute, and what that executes where no agent answers. Both are missing where the build had no C
 * compiler.
 */
export const SHIM = 'netloom-shim';
export const CNI = 'netloom-cni';

/** The path of this build's program with this name. */
export function built(name: string): string {
  return name === EXECUTABLE ? process.execPath : join(dirname(process.execPath), name);
}

/**
 * The program that the links of the plugin types lead to.
 * @throws NetloomError no-program for a shim without the program that it falls back to
 */
export function linkTarget(): string {
  if (!existsSync(built(SHIM))) return EXECUTABLE;
  if (existsSync(built(CNI))) return SHIM;
  throw new NetloomError('no-program', `Cannot use "${built(SHIM)}" for the plugins: "${CNI}" is missing beside it`);
}
