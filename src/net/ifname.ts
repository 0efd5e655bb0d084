/**
 * Names of interfaces: 1 to 15 bytes without `/`, `:` and white space, neither `.` nor `..`. dev_valid_name() in
 * net/core/dev.c. Also excluded are names that the kernel accepts with another meaning: `eth%d` is the first free
 * number (dev_alloc_name()), `all` and `default` are the settings of every interface in /proc/sys/net/ipv4/conf.
 */

/** Longest name, in bytes (IFNAMSIZ minus the NUL). */
const IFNAME_MAX = 15;

/** Why a name cannot be that of an interface; undefined where it can. */
export function ifnameFault(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (isPlain(name)) return undefined;
  if (new TextEncoder().encode(name).length > IFNAME_MAX) return `it is longer than ${IFNAME_MAX} bytes`;
  if (name === '.' || name === '..') return 'it is a directory';
  if (name === 'all' || name === 'default') return 'it stands for the settings of every interface';
  if (name.includes('%')) return 'it has a "%", for which the kernel puts a number';
  if (/[/:\s\0]/.test(name)) return 'it has a slash, a colon or white space';
  return undefined;
}

/**
 * Whether a name is short ASCII without special characters, as nearly all are. Found without the encoder and the
 * pattern, which cost 0.1 ms to set up.
 */
function isPlain(name: string): boolean {
  if (name.length > IFNAME_MAX || name.startsWith('.') || name === 'all' || name === 'default') return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f || code === 0x25 || code === 0x2f || code === 0x3a) return false;
  }
  return true;
}
