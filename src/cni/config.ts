/**
 * The configuration that a plugin gets on stdin: read in two steps, so that each fault gets its own code. The header
 * (JSON, name, version) is the same for every plugin; the rest is checked against the plugin's schema.
 * https://www.cni.dev/docs/spec/#plugin-configuration-objects
 */
import * as v from 'valibot';
import { NetloomError } from '../error.ts';
import type { NetConf } from './call.ts';
import { readJson } from './json.ts';
import type { CniResult } from './result.ts';
import { looseObject, object, parse, type Source, text } from './schema.ts';
import { checkVersion, DEFAULT_VERSION, decodeResult, dnsSchema } from './versions.ts';

export {
  boolean,
  cidr,
  ifname,
  int,
  int32,
  integer,
  ip,
  looseObject,
  mac,
  object,
  parsed,
  text,
  uint32,
} from './schema.ts';

/**
 * Whether a text may be the name of a network or the id of a container: `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`. NB: the pattern
 * itself costs 0.06 ms to set up.
 */
export function isName(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const isDigit = code >= 0x30 && code <= 0x39;
    const isLetter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
    const isOther = code === 0x5f || code === 0x2e || code === 0x2d;
    if (!isDigit && !isLetter && (i === 0 || !isOther)) return false;
  }
  return text !== '';
}

/** Reads a plugin's configuration. */
export interface ConfSchema<C extends NetConf> {
  /** @throws NetloomError invalid-config: `failed to load netconf: "mtu" is "x", expected a whole number …` */
  read(header: ConfHeader): C;
  /** The keys that it knows. */
  keys(): string[];
}

/** The type of the configurations that a schema reads. */
export type ConfOf<S> = S extends ConfSchema<infer C> ? C : never;

/** A configuration whose JSON, name and version have been checked. */
export interface ConfHeader {
  readonly name: string;
  /** A supported one. */
  readonly cniVersion: string;
  readonly json: unknown;
}

/** Headers that were read, by the whole text, oldest first; undefined where none are kept. NB: per thread. */
let kept: Map<string, ConfHeader> | undefined;
/** How many are kept, and how long the text of one may be: a network's is the same for each of its containers. */
const KEPT_MAX = 64;
const KEPT_LENGTH = 8 << 10;

/** From here on, this thread reads and checks each text only once. For a long-lived thread. */
export function keepConfigurations(): void {
  kept ??= new Map();
}

function keep(header: ConfHeader, stdin: string): void {
  if (kept === undefined || stdin.length > KEPT_LENGTH) return;
  const [oldest] = kept.keys();
  if (kept.size >= KEPT_MAX && oldest !== undefined) kept.delete(oldest);
  kept.set(stdin, frozen(header));
}

/** NB: the next call gets the same object, so nobody may change it. Objects of classes cannot be changed anyway. */
function frozen<T>(value: T): T {
  const isPlain =
    Array.isArray(value) || (value instanceof Object && Object.getPrototypeOf(value) === Object.prototype);
  if (!isPlain || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

const NETCONF: Source = { code: 'invalid-config', action: 'failed to load netconf' };

/**
 * The schema of a plugin: the keys of NetConf, and those given here. With a function instead of an object nothing is
 * built before a configuration is read.
 */
export function confSchema<const E extends v.ObjectEntries>(
  entries: E | (() => E),
): ConfSchema<NetConf & v.InferOutput<v.ObjectSchema<E, undefined>>> {
  type Conf = NetConf & v.InferOutput<v.ObjectSchema<E, undefined>>;
  const read = ({ name, cniVersion, json }: ConfHeader): Conf => {
    const own = typeof entries === 'function' ? entries() : entries;
    const common = readCommon(json, cniVersion);
    return { ...common, ...parse(object(own), json, NETCONF), name, cniVersion };
  };
  let known: WeakMap<ConfHeader, Conf> | undefined;
  return {
    read(header) {
      if (kept === undefined) return read(header);
      known ??= new WeakMap();
      const before = known.get(header);
      if (before !== undefined) return before;
      const conf = frozen(read(header));
      known.set(header, conf);
      return conf;
    },
    keys() {
      const own = typeof entries === 'function' ? entries() : entries;
      return ['name', 'cniVersion', ...Object.keys(COMMON().entries), ...Object.keys(own)];
    },
  };
}

/**
 * Checks a part of a configuration, such as `ipam`, against a schema of its own.
 * @param at the key path of the part
 * @throws NetloomError invalid-config
 */
export function parseConf<const S extends v.GenericSchema>(schema: S, value: unknown, at: string): v.InferOutput<S> {
  return parse(schema, value, { ...NETCONF, at });
}

/** The result that CHECK compares with. @throws NetloomError invalid-config where the runtime gave none */
export function prevResultOf(conf: NetConf): CniResult {
  if (conf.prevResult !== undefined) return conf.prevResult;
  throw new NetloomError('invalid-config', `${NETCONF.action}: "prevResult" is missing`);
}

/** @throws NetloomError invalid-json, invalid-name, incompatible-version, in this order */
export function readHeader(stdin: string): ConfHeader {
  const before = kept?.get(stdin);
  if (before !== undefined) return before;
  const source: Source = { code: 'invalid-json', action: 'error unmarshall network config' };
  if (stdin.trim() === '') {
    throw new NetloomError(source.code, `${source.action}: unexpected end of JSON input`, {
      hint: 'the configuration is read from stdin, which was empty',
    });
  }
  const json = readJson(stdin, source);
  const { name, cniVersion } = parse(HEADER(), json, source);
  if (name === '') throw new NetloomError('invalid-name', 'missing network name');
  if (!isName(name)) {
    throw new NetloomError('invalid-name', `invalid characters found in network name: ${JSON.stringify(name)}`);
  }
  refuseList(json);
  const version = cniVersion === '' ? DEFAULT_VERSION : cniVersion;
  checkVersion(version);
  const header = { name, cniVersion: version, json };
  keep(header, stdin);
  return header;
}

/**
 * A conflist is for runtimes. A plugin that took it for its own configuration would find none of its keys, and attach
 * the container by defaults.
 */
function refuseList(json: unknown): void {
  const { type, plugins } = json as Readonly<Record<string, unknown>>;
  if (type !== undefined || !Array.isArray(plugins)) return;
  throw new NetloomError('invalid-config', `${NETCONF.action}: it is a list of plugins, expected one of them`, {
    hint: 'a container runtime gives each plugin its part of "plugins", with "name" and "cniVersion"',
  });
}

const HEADER = () => object({ name: v.optional(v.string(), ''), cniVersion: v.optional(v.string(), '') });

function readCommon(json: unknown, version: string): Omit<NetConf, 'name' | 'cniVersion'> {
  const conf = parse(COMMON(), json, NETCONF);
  const { type, ipam, dns, prevResult, logFile } = conf;
  const { 'cni.dev/attachments': older, 'cni.dev/valid-attachments': valid = older } = conf;
  return {
    type,
    // The reference takes `"ipam": {}` for no IPAM at all.
    ...(ipam && ipam.type !== '' && { ipam }),
    ...(dns && { dns }),
    ...(prevResult && { prevResult: decodeResult(prevResult, version, { ...NETCONF, at: 'prevResult' }) }),
    // NB: missing means that nothing is known of attachments; null, which is Go's empty list, that there are none.
    ...(valid !== undefined && { validAttachments: valid ?? [] }),
    ...(logFile !== undefined && { logFile }),
  };
}

const COMMON = () => {
  const attachments = v.exactOptional(v.nullable(v.array(object({ containerID: v.string(), ifname: v.string() }))));
  return object({
    type: v.optional(v.string(), ''),
    ipam: v.exactOptional(looseObject({ type: v.optional(v.string(), '') })),
    dns: v.exactOptional(dnsSchema()),
    prevResult: v.exactOptional(looseObject({})),
    logFile: v.exactOptional(text),
    'cni.dev/valid-attachments': attachments,
    // The name that the specification gave first: libcni writes both.
    'cni.dev/attachments': attachments,
  });
};
