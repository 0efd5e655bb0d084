/**
 * Sysctls of the container's namespace, those of the network only. A key is written with dots or with slashes (man 8
 * sysctl): `net.ipv4.conf.eth0.forwarding`, `net/ipv4/conf/eth0.100/forwarding`; `IFNAME` in it stands for the
 * interface of the call.
 */
import { duplicateKeys } from '../../cni/duplicate-keys.ts';
import { messageOf, NetloomError } from '../../error.ts';
import { isRegular, tryReadText, tryStat } from '../../ffi/file.ts';
import { readSysctl, writeSysctl } from '../../net/sysctl.ts';

/** A setting and its wanted value. */
export interface Sysctl {
  /** As it is written in the configuration. */
  readonly key: string;
  /** Below /proc/sys. */
  readonly path: string;
  readonly value: string;
}

const WRITABLE = 0o222;

/**
 * Refuses a key that is there twice, which JSON.parse() takes for one. Two keys that spell the same setting differently
 * are found by locate().
 * @param text the configuration as it came
 * @throws NetloomError invalid-config if a key of `sysctl` is there twice
 */
export function refuseTwice(text: string): void {
  const twice = duplicateKeys(text).find(({ at }) => at.at(-1) === 'sysctl' && at[0] !== 'prevResult');
  if (twice === undefined) return;
  const { at, key, values } = twice;
  throw new NetloomError(
    'invalid-config',
    `failed to load netconf: "${at.join('.')}" has "${key}" twice, as ${values.join(' and ')}, expected it once`,
  );
}

/** Reads nothing from the kernel. @throws NetloomError invalid-config if a key is not one of the network's */
export function refuseForeignKeys(sysctls: readonly (readonly [key: string, value: string])[], ifname: string): void {
  for (const [key, value] of sysctls) {
    for (const path of pathsOf(key, ifname)) {
      const parts = path.split('/');
      if (parts[0] !== 'net' || parts.length < 2) throw refused(key, value, 'expected a key below "net."');
      if (parts.some((part) => part === '' || part === '.' || part === '..') || path.includes('\0'))
        throw refused(key, value, 'expected the name of a setting, with a dot or a slash between its parts');
    }
  }
}

/**
 * The settings that the keys name. Call it inside the container: /proc/sys/net shows the namespace of the thread that
 * reads it.
 * @throws NetloomError invalid-config if there is none of that name, it cannot be written, or two keys name the same
 * one
 */
export function locate(sysctls: readonly (readonly [key: string, value: string])[], ifname: string): Sysctl[] {
  const found = new Map<string, Sysctl>();
  for (const [key, value] of sysctls) {
    const path = pathsOf(key, ifname).find((each) => isSetting(each));
    if (path === undefined) throw refused(key, value, 'the container has no such setting');
    const other = found.get(path);
    if (other !== undefined) throw refused(key, value, `"${other.key}" names the same setting and is "${other.value}"`);
    found.set(path, { key, path, value });
  }
  return [...found.values()];
}

/** @throws NetloomError with the kernel's reason, the key and the value */
export function setSysctl({ key, path, value }: Sysctl): void {
  try {
    writeSysctl(path, value);
  } catch (cause) {
    const code = cause instanceof NetloomError ? cause.code : 'internal';
    throw new NetloomError(code, `Cannot set the sysctl "${key}" to "${value}": ${messageOf(cause)}`, { cause });
  }
}

/** Whether two values are the same setting: `1 2` and `1<tab>2`, 0x10 and 16. */
export function isSame(one: string | undefined, other: string): boolean {
  if (one === undefined) return false;
  const [left, right] = [one.trim().split(/\s+/), other.trim().split(/\s+/)];
  return left.length === right.length && left.every((part, i) => isSameWord(part, right[i] ?? ''));
}

/** What differs, in sentences. Call it inside the container. */
export function sysctlDifferences(
  sysctls: readonly (readonly [key: string, value: string])[],
  ifname: string,
): string[] {
  return sysctls.flatMap(([key, value]) => {
    const now = pathsOf(key, ifname)
      .map((path) => readSysctl(path))
      .find((each) => each !== undefined);
    if (isSame(now, value)) return [];
    return [`the sysctl "${key}" is ${now === undefined ? 'missing' : `"${now}"`}, expected "${value}"`];
  });
}

/**
 * Refuses keys that are not on the list of those that the host's owner allows: one regular expression a line. Without
 * the file, all are allowed.
 * @throws NetloomError invalid-config
 */
export function refuseUnlisted(sysctls: readonly (readonly [key: string, value: string])[], file: string): void {
  if (sysctls.length === 0) return;
  const allowed = readAllowlist(file);
  if (allowed === undefined) return;
  for (const [key, value] of sysctls) {
    if (!allowed.some((expression) => expression.test(key)))
      throw refused(key, value, `it is not on the list of those allowed in "${file}"`);
  }
}

/** @returns undefined if there is no list @throws NetloomError damaged-file if a line is no regular expression */
export function readAllowlist(file: string): RegExp[] | undefined {
  const lines = tryReadText(file)?.split('\n');
  return lines
    ?.map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => expressionOf(line, file));
}

function expressionOf(line: string, file: string): RegExp {
  try {
    return new RegExp(line);
  } catch (cause) {
    throw new NetloomError('damaged-file', `"${file}" has the line "${line}", expected a regular expression`, {
      cause,
    });
  }
}

/**
 * The paths below /proc/sys that a key may mean. If a slash comes first, the key is the path. If a dot comes first,
 * dots are the separators and a slash stands for a dot in a name (man 8 sysctl). The reference takes both as
 * separators, so that is tried afterwards.
 */
function pathsOf(key: string, ifname: string): string[] {
  const [dot, slash] = [key.indexOf('.'), key.indexOf('/')];
  const parted = key.replaceAll('.', '/');
  const paths =
    slash < 0 ? [parted] : dot < 0 ? [key] : slash < dot ? [key, parted] : [key.replace(/[./]/g, swap), parted];
  return paths.map((path) => path.replace('IFNAME', ifname));
}

function swap(separator: string): string {
  return separator === '.' ? '/' : '.';
}

function isSetting(path: string): boolean {
  const stat = tryStat(`/proc/sys/${path}`);
  return stat !== undefined && isRegular(stat) && (stat.mode & WRITABLE) !== 0;
}

function isSameWord(one: string, other: string): boolean {
  return one === other || (one !== '' && other !== '' && Number(one) === Number(other));
}

function refused(key: string, value: string, why: string): NetloomError {
  return new NetloomError('invalid-config', `failed to load netconf: "sysctl" has "${key}": "${value}", ${why}`);
}
