/** Which processes are in a network namespace. */
import { hasCode } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { tryReadlink } from '../ffi/file.ts';
import { type Netns, nsfsName } from './namespace.ts';

/** The id of a process in the namespace, or undefined where there is none. NB: only of those that this process sees. */
export function findProcess(netns: Netns): string | undefined {
  const name = nsfsName(netns);
  return (tryList('/proc') ?? []).find((entry) => isNumber(entry) && namespaceOf(entry) === name);
}

function isNumber(name: string): boolean {
  const first = name.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}

/** Undefined for a process that has ended, or that we lack the permission to examine. */
function namespaceOf(pid: string): string | undefined {
  try {
    return tryReadlink(`/proc/${pid}/ns/net`);
  } catch (error) {
    if (hasCode(error, 'ESRCH', 'EACCES')) return undefined;
    throw error;
  }
}
