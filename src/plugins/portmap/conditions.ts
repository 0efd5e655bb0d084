/**
 * `conditionsV4` and `conditionsV6`: conditions for a connection, as arguments of iptables or as words of nft, as the
 * reference plugin's two back ends take them. Source, destination and incoming interface are understood. Any other
 * condition is refused: without it the port would be published for more connections than was meant.
 */
import { NetloomError } from '../../error.ts';
import { Cidr } from '../../net/cidr.ts';
import { ifnameFault } from '../../net/ifname.ts';
import { type Family, Ip } from '../../net/ip.ts';
import { daddrOf, saddrOf } from '../../nft/fields/ip.ts';
import { meta } from '../../nft/fields/meta.ts';
import { eq, ne, notWithin, within } from '../../nft/match.ts';
import type { Conditions } from '../../nft/portmap/conditional.ts';
import type { Statement } from '../../nft/statement.ts';
import type { PortmapConf } from './conf.ts';

type Subject = 'source' | 'destination' | 'interface';

const IPTABLES: Readonly<Record<string, Subject>> = {
  '-s': 'source',
  '--source': 'source',
  '--src': 'source',
  '-d': 'destination',
  '--destination': 'destination',
  '--dst': 'destination',
  '-i': 'interface',
  '--in-interface': 'interface',
};

const NFT: Readonly<Record<string, Subject>> = { saddr: 'source', daddr: 'destination', iifname: 'interface' };

const EXPECTED = 'expected [!] -s, -d or -i of iptables, or saddr, daddr or iifname of nft, each with its value';

/**
 * The matches of a family, or undefined if there are no conditions.
 * @throws NetloomError unsupported-field, with key and value
 */
export function conditionsOf(conf: PortmapConf, family: Family): Conditions | undefined {
  const words = family === 4 ? conf.conditionsV4 : conf.conditionsV6;
  if (words.length === 0) return undefined;
  const statements: Statement[] = [];
  for (let at = 0; at < words.length; ) {
    const taken = conditionAt(words, at, family);
    if (taken === undefined) throw refused(words, at, family);
    statements.push(taken.statement);
    at = taken.next;
  }
  return statements;
}

function conditionAt(
  words: readonly string[],
  start: number,
  family: Family,
): { statement: Statement; next: number } | undefined {
  let at = start;
  let isNegated = words[at] === '!';
  if (isNegated) at++;
  let subject = IPTABLES[words[at] ?? ''];
  if (subject === undefined) {
    if (words[at] === (family === 4 ? 'ip' : 'ip6')) at++;
    subject = NFT[words[at] ?? ''];
    if (words[at + 1] === '!=') {
      isNegated = !isNegated;
      at++;
    } else if (words[at + 1] === '==') at++;
  }
  const value = words[at + 1];
  if (subject === undefined || value === undefined) return undefined;
  const statement = statementOf(subject, value, isNegated, family);
  return statement && { statement, next: at + 2 };
}

function statementOf(subject: Subject, value: string, isNegated: boolean, family: Family): Statement | undefined {
  if (subject === 'interface') {
    if (ifnameFault(value) !== undefined) return undefined;
    return isNegated ? ne(meta.iifname, value) : eq(meta.iifname, value);
  }
  const field = subject === 'source' ? saddrOf(family) : daddrOf(family);
  const prefix = prefixOf(value);
  if (prefix?.family !== family) return undefined;
  return isNegated ? notWithin(field, prefix) : within(field, prefix);
}

/** As iptables reads it: an address alone is a prefix of full length, and host bits do not count. */
function prefixOf(text: string): Cidr | undefined {
  const alone = Ip.tryParse(text);
  return alone === undefined ? Cidr.tryParse(text)?.network() : Cidr.alone(alone);
}

function refused(words: readonly string[], at: number, family: Family): NetloomError {
  const key = `conditionsV${family}[${at}]`;
  return new NetloomError(
    'unsupported-field',
    `failed to load netconf: "${key}" begins with ${JSON.stringify(words.slice(at, at + 3).join(' '))}, ${EXPECTED} of IPv${family}`,
    { hint: 'other conditions of iptables have no counterpart here' },
  );
}
