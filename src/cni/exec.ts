/** Running another plugin, such as a third party's IPAM. https://www.cni.dev/docs/spec/#section-4-plugin-delegation */
import * as v from 'valibot';
import { NetloomError } from '../error.ts';
import { isRegular, type Stat, tryReadlink, tryStat } from '../ffi/file.ts';
import { type RunResult, run } from '../ffi/spawn.ts';
import type { CniCall, Command } from './call.ts';
import { foreignError } from './error.ts';
import { readJson } from './json.ts';
import type { CniResult } from './result.ts';
import { integer, object, parse, type Source } from './schema.ts';
import { decodeResult } from './versions.ts';

/** What an executed plugin takes over from the call that it is part of. */
export type Caller = Pick<CniCall, 'environment' | 'warn'>;

/**
 * The file of a plugin type: the first one in CNI_PATH.
 * @param hint for the error where there is none
 * @throws NetloomError plugin-not-found, invalid-config for a type that is a path
 */
export function findPlugin(type: string, path: readonly string[], hint?: string): string {
  if (type === '' || type.includes('/') || type.includes('\0')) {
    throw new NetloomError(
      'invalid-config',
      `invalid plugin name: ${JSON.stringify(type)}, expected the name of a file`,
    );
  }
  for (const directory of path) {
    const file = directory.endsWith('/') ? `${directory}${type}` : `${directory}/${type}`;
    const stat = tryStat(file);
    if (stat !== undefined && isRegular(stat)) return file;
  }
  throw new NetloomError(
    'plugin-not-found',
    `failed to find plugin ${JSON.stringify(type)} in path [${path.join(' ')}]`,
    hint === undefined ? {} : { hint },
  );
}

/** Whether a file is the running executable itself, under any name, or the shim beside it, which would execute it. */
export function isSelf(file: string): boolean {
  const other = tryStat(file);
  if (other === undefined) return false;
  if (isSame(other, tryStat('/proc/self/exe'))) return true;
  const self = tryReadlink('/proc/self/exe');
  return self !== undefined && isSame(other, tryStat(`${self.slice(0, self.lastIndexOf('/'))}/netloom-shim`));
}

function isSame(a: Stat, b: Stat | undefined): boolean {
  return a.ino === b?.ino && a.dev === b.dev;
}

/**
 * Executes a plugin's ADD.
 * @param version of the configuration in stdin
 * @throws as execPlugin(), and invalid-result
 */
export function execAdd(file: string, caller: Caller, stdin: string, version: string): CniResult {
  const stdout = execPlugin(file, 'ADD', caller, stdin);
  const source: Source = { code: 'invalid-result', action: `Cannot read the result of "${file}"` };
  return decodeResult(readJson(stdout, source), version, source);
}

/**
 * Executes a plugin with the caller's environment.
 * @returns what it wrote to stdout
 * @throws NetloomError the plugin's own error, kept whole (error.ts); plugin-failed where it exited without one
 */
export function execPlugin(file: string, command: Command, caller: Caller, stdin: string): string {
  const environment = { ...caller.environment, CNI_COMMAND: command };
  const result = run(file, [file], environment, new TextEncoder().encode(stdin));
  const decoder = new TextDecoder();
  const stdout = decoder.decode(result.stdout);
  const stderr = decoder.decode(result.stderr).trimEnd();
  if (result.status !== 0) throw errorOf(file, command, result, stdout, stderr);
  if (stderr !== '') caller.warn(`${file}: ${stderr}`);
  return stdout;
}

/** The error object on stdout, or what else is known of a plugin that exited without one. */
function errorOf(file: string, command: Command, result: RunResult, stdout: string, stderr: string): NetloomError {
  const own = tryReadError(stdout);
  if (own !== undefined) return foreignError(own.code, own.msg, own.details);
  const how = result.signal === 0 ? `it left with status ${result.status}` : `signal ${result.signal} killed it`;
  const lastLine = stderr.split('\n').at(-1)?.trim() ?? '';
  const said = lastLine === '' ? '' : `, after saying ${JSON.stringify(lastLine.slice(0, 500))}`;
  return new NetloomError('plugin-failed', `Cannot run "${file}" for ${command}: ${how}${said}`, {
    ...(stdout.trim() !== '' && { details: `its stdout begins with ${JSON.stringify(stdout.slice(0, 200))}` }),
  });
}

/** The error object that a plugin printed; undefined where it printed something else. */
export function tryReadError(stdout: string): { code: number; msg: string; details?: string } | undefined {
  const schema = object({
    code: integer(0, Number.MAX_SAFE_INTEGER),
    msg: v.optional(v.string(), ''),
    details: v.exactOptional(v.string()),
  });
  try {
    return parse(schema, JSON.parse(stdout), { code: 'invalid-result', action: '' });
  } catch {
    return undefined;
  }
}
