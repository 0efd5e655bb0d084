/**
 * The only place where an error of ours becomes a CNI error object. Codes below 100 are the specification's, the others
 * ours; docs/errors.md explains each. https://www.cni.dev/docs/spec/#error
 */
import { messageOf, NetloomError } from '../error.ts';

export interface CniError {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** The code for what the kernel refused, where the errno has no row of its own. */
const KERNEL = 100;
/** The code for internal errors, and the reference's for errors without a code. */
const INTERNAL = 999;

/** The CNI code of each code word. An errno's name that is not here has 100. */
export const CNI_CODES: Readonly<Record<string, number>> = {
  'incompatible-version': 1,
  'unsupported-field': 2,
  'unknown-container': 3,
  'invalid-environment': 4,
  'invalid-args': 4,
  'io-failure': 5,
  'invalid-json': 6,
  'invalid-name': 7,
  'invalid-config': 7,
  'invalid-address': 7,
  'invalid-mac': 7,
  'no-address': 7,
  'no-namespace': 8,
  'not-a-namespace': 8,
  'own-namespace': 8,
  'not-host-namespace': 8,
  'try-again': 11,
  'not-available': 50,
  'limited-connectivity': 51,
  'malformed-message': KERNEL,
  'too-long': KERNEL,
  'address-exhausted': 101,
  'address-in-use': 102,
  'duplicate-address': 102,
  'address-conflict': 102,
  duplicate: 103,
  'duplicate-attachment': 103,
  'not-root': 104,
  EPERM: 104,
  EACCES: 104,
  unsupported: 105,
  ENOSYS: 105,
  EAFNOSUPPORT: 105,
  EPROTONOSUPPORT: 105,
  EOPNOTSUPP: 105,
  'damaged-file': 106,
  'no-space': 107,
  ENOSPC: 107,
  EDQUOT: 107,
  EROFS: 107,
  'plugin-not-found': 108,
  'plugin-failed': 109,
  'invalid-result': 109,
  'ipam-failed': 109,
  'check-failed': 110,
  'ifname-in-use': 111,
  'not-a-bridge': 111,
  conflict: 111,
  'name-taken': 111,
  EEXIST: 111,
  'no-link': 112,
  ENODEV: 112,
  'timed-out': 113,
  'port-in-use': 114,
  'exclusive-network': 120,
  'no-target': 121,
  'target-is-itself': 122,
  'target-is-host': 123,
  'namespace-in-use': 124,
  'invalid-value': INTERNAL,
  lost: INTERNAL,
  internal: INTERNAL,
};

/** The code word for an error object of another plugin, which is passed on as it is. */
const FOREIGN = /^cni-([0-9]+)$/;

/** An error of another plugin, kept so that toCniError() gives back the same code, msg and details. */
export function foreignError(code: number, msg: string, details?: string): NetloomError {
  return new NetloomError(`cni-${code}`, msg, details === undefined ? {} : { details });
}

/** The error object for any thrown value. Never has a stack: stdout is read by programs. */
export function toCniError(error: unknown, cniVersion: string): CniError {
  if (!(error instanceof NetloomError)) {
    return { cniVersion, code: INTERNAL, msg: `internal error: ${messageOf(error)}` };
  }
  const details = [error.details, error.hint].filter(Boolean).join('; ');
  return { cniVersion, code: codeOf(error.code), msg: error.message, ...(details !== '' && { details }) };
}

function codeOf(word: string): number {
  const foreign = FOREIGN.exec(word)?.[1];
  if (foreign !== undefined) return Number(foreign);
  const own = Object.hasOwn(CNI_CODES, word) ? CNI_CODES[word] : undefined;
  return own ?? (/^E[A-Z0-9]+$/.test(word) ? KERNEL : INTERNAL);
}
