import { NetloomError } from '../../error.ts';

/** The error for a key with an invalid value. */
export function invalid(key: string, value: string, expected: string): NetloomError {
  return new NetloomError('invalid-config', `failed to load netconf: "${key}" is "${value}", expected ${expected}`);
}

/** @throws NetloomError invalid-config if it is not an absolute path */
export function pathOf(path: string, key: string, of: string): string {
  if (path.startsWith('/')) return path;
  throw invalid(`store.${key}`, path, `the path of ${of}, from "/" on`);
}
