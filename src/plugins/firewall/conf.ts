/**
 * The keys of the firewall plugin. Names and defaults are the reference's, except `internal`.
 * https://www.cni.dev/plugins/current/meta/firewall/
 */
import * as v from 'valibot';
import { boolean, type ConfOf, confSchema, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';

const POLICIES = ['open', 'same-bridge', 'isolated'] as const;
/** XT_FUNCTION_MAXNAMELEN: the longest chain name that iptables(8) takes. */
const CHAIN_MAX = 28;

export const schema = confSchema(() => ({
  // Every back end is served by our nftables table.
  backend: v.exactOptional(text),
  iptablesAdminChainName: v.exactOptional(text),
  firewalldZone: v.exactOptional(text),
  ingressPolicy: v.exactOptional(text),
  internal: v.optional(boolean, false),
}));

export type FirewallConf = ConfOf<typeof schema>;

export type IngressPolicy = (typeof POLICIES)[number];

/** @throws NetloomError invalid-config */
export function ingressOf({ ingressPolicy = 'open' }: FirewallConf): IngressPolicy {
  const found = POLICIES.find((policy) => policy === ingressPolicy);
  if (found !== undefined) return found;
  throw invalid('ingressPolicy', ingressPolicy, POLICIES.join(', '));
}

/** The chain in which an administrator can overrule netloom. @throws NetloomError invalid-config */
export function adminChainOf({ iptablesAdminChainName: name = 'CNI-ADMIN' }: FirewallConf): string {
  let isName = name.length <= CHAIN_MAX;
  for (let i = 0; i < name.length; i++) isName &&= isNameCode(name.charCodeAt(i), i === 0);
  if (isName && !RESERVED.includes(name)) return name;
  throw invalid(
    'iptablesAdminChainName',
    name,
    `a chain of its own: at most ${CHAIN_MAX} letters, digits, "-" and "_", and a letter first`,
  );
}

const RESERVED: readonly string[] = ['INPUT', 'FORWARD', 'OUTPUT', 'NETLOOM-FORWARD'];

function isNameCode(code: number, isFirst: boolean): boolean {
  const isLetter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  const isOther = (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
  return isLetter || (!isFirst && isOther);
}

function invalid(key: string, value: string, expected: string): NetloomError {
  return new NetloomError(
    'invalid-config',
    `failed to load netconf: "${key}" is ${JSON.stringify(value)}, expected ${expected}`,
  );
}
