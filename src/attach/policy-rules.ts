/**
 * The document of a policy, read and checked. Unknown keys are refused here: a rule whose `from` is misspelt would
 * allow everybody. docs/policy.md has the format.
 */
import { NetloomError } from '../error.ts';
import { Cidr } from '../net/cidr.ts';
import { bitsOf, type Family, Ip } from '../net/ip.ts';
import { ANY_PORT, ANY_PROTOCOL, type Box, everything, isEverything, subtract, union } from '../nft/policy-boxes.ts';

/** What is allowed in a direction by family; undefined where it is not restricted. */
export type Allowed = Readonly<Record<Family, readonly Box[] | undefined>>;

export interface PolicyRules {
  readonly ingress: Allowed;
  readonly egress: Allowed;
}

/** Protocol numbers, as IANA assigns them. */
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58 };
const WITH_PORTS: readonly string[] = ['tcp', 'udp', 'sctp'];

interface Ports {
  readonly protocol: readonly [number, number];
  readonly port: readonly [number, number];
}

/** One entry of a list. */
interface Rule {
  /** Undefined: everybody. */
  readonly peers: readonly Cidr[] | undefined;
  readonly except: readonly Cidr[];
  readonly ports: readonly Ports[];
}

type Json = Readonly<Record<string, unknown>>;

/**
 * @param at the key path of the document, such as `policy`
 * @throws NetloomError invalid-config, with the key and the value
 */
export function readPolicy(json: unknown, at: string): PolicyRules {
  const document = objectAt(json, at, ['ingress', 'egress']);
  return {
    ingress: readDirection(document['ingress'], `${at}.ingress`, 'from'),
    egress: readDirection(document['egress'], `${at}.egress`, 'to'),
  };
}

function readDirection(json: unknown, at: string, peerKey: 'from' | 'to'): Allowed {
  if (json === undefined || json === null) return { 4: undefined, 6: undefined };
  const direction = objectAt(json, at, ['default', 'allow', 'deny']);
  const allow = readRules(direction['allow'], `${at}.allow`, peerKey);
  const all = readRules(direction['deny'], `${at}.deny`, peerKey);
  const deny = all.filter((rule) => !namesEverybody(rule));
  const asked = direction['default'];
  if (asked !== undefined && asked !== 'allow' && asked !== 'deny')
    throw invalid(`${at}.default`, asked, '"allow" or "deny"');
  const deniesAll = deny.length < all.length;
  if (deniesAll && asked === 'allow') throw invalid(`${at}.default`, asked, '"deny", because "deny" names everybody');
  const isAllowed = asked === undefined ? !deniesAll && allow.length === 0 : asked === 'allow';
  const of = (family: Family) => allowedOf(family, isAllowed, allow, deny);
  return { 4: of(4), 6: of(6) };
}

/** What a deny names is refused, even where an allow names it. */
function allowedOf(
  family: Family,
  isAllowed: boolean,
  allow: readonly Rule[],
  deny: readonly Rule[],
): Box[] | undefined {
  const all = everything(family);
  const boxes = (rules: readonly Rule[]) => rules.flatMap((rule) => boxesOf(rule, family));
  const result = subtract(isAllowed ? [all] : union(boxes(allow)), boxes(deny));
  return isEverything(result, family) ? undefined : result;
}

function boxesOf({ peers, except, ports }: Rule, family: Family): Box[] {
  const all = everything(family);
  const box = (peer: Cidr): Box => ({ ...all, peer: [peer.first().toBigInt(), peer.last().toBigInt()] });
  const ofFamily = (list: readonly Cidr[]) => list.filter((each) => each.family === family).map(box);
  const from = subtract(peers === undefined ? [all] : ofFamily(peers), ofFamily(except));
  return from.flatMap((each) => ports.map((one) => ({ ...each, ...one })));
}

/**
 * Whether a rule names everybody on all ports. In a deny, the short form `["0.0.0.0/0"]` sets the default to `deny`.
 */
function namesEverybody({ peers, except, ports }: Rule): boolean {
  const isAnyPeer = peers === undefined || peers.some(({ prefix }) => prefix === 0);
  return (
    isAnyPeer &&
    except.length === 0 &&
    ports.every(({ protocol, port }) => protocol === ANY_PROTOCOL && port === ANY_PORT)
  );
}

function readRules(json: unknown, at: string, peerKey: 'from' | 'to'): Rule[] {
  const rules = listAt(json, at).map((each, i): Rule => {
    const here = `${at}[${i}]`;
    if (typeof each === 'string') {
      return { peers: [prefixAt(each, here)], except: [], ports: [{ protocol: ANY_PROTOCOL, port: ANY_PORT }] };
    }
    return readRule(objectAt(each, here, [peerKey, 'except', 'ports'], ' or a prefix'), here, peerKey);
  });
  // Bare prefixes form one list, whichever way they are written.
  const bare = rules.flatMap(({ peers, ports }, i) =>
    peers?.length === 1 && typeof listAt(json, at)[i] === 'string' && ports.length === 1
      ? [{ peer: peers[0] as Cidr, at: `${at}[${i}]` }]
      : [],
  );
  refuseOverlaps(bare);
  return rules;
}

function readRule(rule: Json, at: string, peerKey: 'from' | 'to'): Rule {
  const peers = rule[peerKey] === undefined ? undefined : prefixesAt(rule[peerKey], `${at}.${peerKey}`);
  if (peers?.length === 0)
    throw invalid(`${at}.${peerKey}`, rule[peerKey], 'at least one prefix, or no such key for everybody');
  const except = prefixesAt(rule['except'], `${at}.except`);
  const names = peers === undefined ? () => true : within(peers);
  for (const [i, each] of except.entries()) {
    if (!names(each)) throw invalid(`${at}.except[${i}]`, `${each}`, `a part of what "${peerKey}" names`);
  }
  const list = listAt(rule['ports'], `${at}.ports`);
  const ports = list.map((each, i) => readPorts(each, `${at}.ports[${i}]`));
  for (const [i, one] of ports.entries()) {
    const other = ports.findIndex((each) => each.protocol[0] === one.protocol[0] && meet(each.port, one.port));
    if (other < i)
      throw invalid(`${at}.ports[${i}]`, list[i], `ports that "${at}.ports[${other}]" does not name already`);
  }
  return { peers, except, ports: ports.length > 0 ? ports : [{ protocol: ANY_PROTOCOL, port: ANY_PORT }] };
}

/**
 * Whether a prefix is part of one of these. Looked up by each length that occurs: to compare all with all takes seconds
 * for some thousand.
 */
function within(peers: readonly Cidr[]): (part: Cidr) => boolean {
  const named = new Set(peers.map(String));
  const lengths = new Set(peers.map(({ prefix }) => prefix));
  return ({ ip, prefix }) =>
    [...lengths].some((length) => length <= prefix && named.has(`${new Cidr(ip, length).network()}`));
}

function readPorts(json: unknown, at: string): Ports {
  const { protocol, port, endPort } = objectAt(json, at, ['protocol', 'port', 'endPort']);
  const name = typeof protocol === 'string' ? protocol.toLowerCase() : '';
  const number = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
  if (number === undefined) throw invalid(`${at}.protocol`, protocol, Object.keys(PROTOCOLS).join(', '));
  const first = portAt(port, `${at}.port`);
  const last = portAt(endPort, `${at}.endPort`);
  if (first === undefined && last !== undefined) throw invalid(`${at}.endPort`, last, 'a "port" beside it');
  if (first === undefined) return { protocol: [number, number], port: ANY_PORT };
  if (!WITH_PORTS.includes(name)) throw invalid(`${at}.port`, first, `no port, ${name} has none`);
  if (last !== undefined && last < first)
    throw invalid(`${at}.endPort`, last, `a port not below ${first}, which is "port"`);
  return { protocol: [number, number], port: [first, last ?? first] };
}

function portAt(json: unknown, at: string): number | undefined {
  if (json === undefined || json === null) return undefined;
  if (typeof json === 'number' && Number.isInteger(json) && json >= 1 && json <= 65_535) return json;
  throw invalid(at, json, 'a whole number from 1 to 65535');
}

function prefixesAt(json: unknown, at: string): Cidr[] {
  const list = listAt(json, at).map((each, i) => ({ peer: prefixAt(each, `${at}[${i}]`), at: `${at}[${i}]` }));
  refuseOverlaps(list);
  return list.map(({ peer }) => peer);
}

function refuseOverlaps(list: readonly { readonly peer: Cidr; readonly at: string }[]): void {
  const sorted = list
    .map((each, place) => ({ ...each, place, first: each.peer.first().toBigInt() }))
    .sort(
      (a, b) =>
        a.peer.family - b.peer.family ||
        (a.first < b.first ? -1 : a.first > b.first ? 1 : 0) ||
        a.peer.prefix - b.peer.prefix,
    );
  // Of two prefixes that overlap one contains the other, and is sorted before it and before all else that it contains.
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1], sorted[i]];
    if (a === undefined || b === undefined || a.peer.family !== b.peer.family || !a.peer.overlaps(b.peer)) continue;
    const [earlier, later] = a.place < b.place ? [a, b] : [b, a];
    throw invalid(later.at, `${later.peer}`, `a prefix that does not overlap "${earlier.at}", ${earlier.peer}`);
  }
}

function prefixAt(json: unknown, at: string): Cidr {
  const found = typeof json === 'string' ? Cidr.tryParse(json) : undefined;
  if (found === undefined) throw invalid(at, json, `a prefix such as "${prefixLike(json)}"`);
  if (found.hasHostBits()) throw invalid(at, json, `a prefix without host bits, such as "${found.network()}"`);
  return found;
}

/** What was meant, where that is an address alone. */
function prefixLike(json: unknown): string {
  const ip = typeof json === 'string' ? Ip.tryParse(json) : undefined;
  return ip === undefined ? '10.1.0.0/24' : `${ip}/${bitsOf(ip.family)}`;
}

function listAt(json: unknown, at: string): readonly unknown[] {
  if (json === undefined || json === null) return [];
  if (Array.isArray(json)) return json;
  throw invalid(at, json, 'a list');
}

function objectAt(json: unknown, at: string, keys: readonly string[], orElse = ''): Json {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid(at, json, `an object${orElse}`);
  for (const key in json) {
    if (!keys.includes(key)) throw invalid(`${at}.${key}`, (json as Json)[key], `no such key, only ${keys.join(', ')}`);
  }
  return json as Json;
}

function meet(a: readonly [number, number], b: readonly [number, number]): boolean {
  return a[0] <= b[1] && b[0] <= a[1];
}

function invalid(at: string, value: unknown, expected: string): NetloomError {
  const json = JSON.stringify(value) ?? 'missing';
  const shown = json.length > 120 ? `${json.slice(0, 117)}...` : json;
  return new NetloomError('invalid-config', `failed to load netconf: "${at}" is ${shown}, expected ${expected}`);
}
