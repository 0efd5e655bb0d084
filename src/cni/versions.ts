/**
 * The versions of the specification, and the shape of a result in each.
 * https://www.cni.dev/docs/spec/#appendix-examples
 */
import * as v from 'valibot';
import { NetloomError } from '../error.ts';
import type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from './result.ts';
import { cidr, int, integer, ip, object, parse, type Source, text, uint32 } from './schema.ts';

/** Oldest first. */
export const SUPPORTED_VERSIONS: readonly string[] = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

/** The version where nobody has asked for one yet. */
export const CURRENT_VERSION = '1.1.0';

/** What a configuration without `cniVersion` means. */
export const DEFAULT_VERSION = '0.1.0';

export function isSupported(version: string): boolean {
  return SUPPORTED_VERSIONS.includes(version);
}

/** Whether one supported version is another or a later one. */
export function isAtLeast(version: string, other: string): boolean {
  return SUPPORTED_VERSIONS.indexOf(version) >= SUPPORTED_VERSIONS.indexOf(other);
}

/** @throws NetloomError incompatible-version */
export function checkVersion(version: string): void {
  if (isSupported(version)) return;
  throw new NetloomError('incompatible-version', 'incompatible CNI versions', {
    details: `config is ${JSON.stringify(version)}, plugin supports ${JSON.stringify(SUPPORTED_VERSIONS)}`,
  });
}

/**
 * A result as an object for JSON.stringify, in the shape of one version. What a version has no room for is left out, as
 * libcni does it: before 0.3.0 there is one address a family and no interface, before 1.0.0 an interface has only a
 * name, a MAC and a sandbox.
 * @throws NetloomError no-address: `cannot convert: no valid IP addresses` before 0.3.0 for a result without any
 */
export function encodeResult(result: CniResult, version: string): Record<string, unknown> {
  checkVersion(version);
  if (!isAtLeast(version, '0.3.0')) return encode02(result, version);
  const is1 = isAtLeast(version, '1.0.0');
  return compact({
    cniVersion: version,
    interfaces: nonEmpty(result.interfaces)?.map((link) => encodeInterface(link, is1)),
    ips: nonEmpty(result.ips)?.map((address) => encodeIp(address, is1)),
    routes: nonEmpty(result.routes)?.map(encodeRoute),
    dns: encodeDns(result.dns),
  });
}

/**
 * Reads a result of any version. Its own `cniVersion` overrides the given one: a plugin may answer in an older one.
 * @throws NetloomError invalid-result, or as the source says
 */
export function decodeResult(json: unknown, version: string, source: Source = RESULT): CniResult {
  const { cniVersion: own = '' } = parse(object({ cniVersion: v.optional(v.string()) }), json, source);
  const actual = own === '' ? version : own;
  checkVersion(actual);
  return isAtLeast(actual, '0.3.0') ? decode03(json, source) : decode02(json, source);
}

const RESULT: Source = { code: 'invalid-result', action: 'Cannot read the result' };

function encode02(result: CniResult, version: string): Record<string, unknown> {
  const of = (family: 4 | 6) => {
    const first = result.ips?.find(({ address }) => address.family === family);
    if (first === undefined) return undefined;
    const routes = result.routes?.filter(({ dst }) => dst.family === family) ?? [];
    return compact({
      ip: first.address.toString(),
      gateway: first.gateway?.toString(),
      routes: nonEmpty(routes)?.map(({ dst, gw }) => compact({ dst: dst.toString(), gw: gw?.toString() })),
    });
  };
  const ip4 = of(4);
  const ip6 = of(6);
  if (ip4 === undefined && ip6 === undefined) {
    throw new NetloomError('no-address', 'cannot convert: no valid IP addresses', {
      hint: `results of version ${version} need an address; set "cniVersion" to "0.3.0" or later`,
    });
  }
  return compact({ cniVersion: version, ip4, ip6, dns: encodeDns(result.dns) });
}

function encodeInterface(link: CniInterface, is1: boolean): Record<string, unknown> {
  return compact({
    name: link.name,
    mac: link.mac || undefined,
    mtu: is1 ? link.mtu || undefined : undefined,
    sandbox: link.sandbox || undefined,
    socketPath: is1 ? link.socketPath || undefined : undefined,
    pciID: is1 ? link.pciID || undefined : undefined,
  });
}

function encodeIp({ address, gateway, interface: index }: CniIp, is1: boolean): Record<string, unknown> {
  return compact({
    version: is1 ? undefined : String(address.family),
    interface: index,
    address: address.toString(),
    gateway: gateway?.toString(),
  });
}

/** NB: libcni writes the keys of 1.1.0 into older results too, and configurations rely on it. */
function encodeRoute(route: CniRoute): Record<string, unknown> {
  return compact({
    dst: route.dst.toString(),
    gw: route.gw?.toString(),
    mtu: route.mtu || undefined,
    advmss: route.advmss || undefined,
    priority: route.priority || undefined,
    table: route.table,
    scope: route.scope,
  });
}

function encodeDns(dns: CniDns | undefined): Record<string, unknown> | undefined {
  const encoded = compact({
    nameservers: nonEmpty(dns?.nameservers),
    domain: dns?.domain || undefined,
    search: nonEmpty(dns?.search),
    options: nonEmpty(dns?.options),
  });
  return Object.keys(encoded).length === 0 ? undefined : encoded;
}

/** The schema of `dns`, which configurations have too. */
export function dnsSchema() {
  return object({
    nameservers: v.exactOptional(v.array(v.string())),
    domain: v.exactOptional(text),
    search: v.exactOptional(v.array(v.string())),
    options: v.exactOptional(v.array(v.string())),
  });
}

/** The schema of a route, which configurations of IPAM have too. */
export function routeSchema() {
  return object({
    dst: cidr,
    gw: v.exactOptional(ip),
    mtu: v.exactOptional(uint32),
    advmss: v.exactOptional(uint32),
    priority: v.exactOptional(uint32),
    table: v.exactOptional(uint32),
    scope: v.exactOptional(integer(0, 255)),
  });
}

function decode03(json: unknown, source: Source): CniResult {
  const link = object({
    name: v.optional(v.string(), ''),
    mac: v.exactOptional(text),
    mtu: v.exactOptional(int),
    sandbox: v.exactOptional(text),
    socketPath: v.exactOptional(text),
    pciID: v.exactOptional(text),
  });
  const address = object({ address: cidr, gateway: v.exactOptional(ip), interface: v.exactOptional(int) });
  const schema = object({
    interfaces: v.exactOptional(v.array(link)),
    ips: v.exactOptional(v.array(address)),
    routes: v.exactOptional(v.array(routeSchema())),
    dns: v.exactOptional(dnsSchema()),
  });
  return parse(schema, json, source);
}

function decode02(json: unknown, source: Source): CniResult {
  const family = object({
    ip: cidr,
    gateway: v.exactOptional(ip),
    routes: v.optional(v.array(object({ dst: cidr, gw: v.exactOptional(ip) })), []),
  });
  const schema = object({
    ip4: v.exactOptional(family),
    ip6: v.exactOptional(family),
    dns: v.exactOptional(dnsSchema()),
  });
  const { ip4, ip6, dns } = parse(schema, json, source);
  const families = [ip4, ip6].filter((one) => one !== undefined);
  return {
    ips: families.map(({ ip: address, gateway }) => (gateway === undefined ? { address } : { address, gateway })),
    routes: families.flatMap(({ routes }) => routes),
    ...(dns && { dns }),
  };
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

/**
 * The object without its undefined keys. NB: a loop. The first Object.fromEntries() of a process costs 0.1 ms, because
 * the engine implements it in JavaScript.
 */
function compact(object: Record<string, unknown>): Record<string, unknown> {
  const defined: Record<string, unknown> = {};
  for (const key in object) if (object[key] !== undefined) defined[key] = object[key];
  return defined;
}
