/**
 * A network as a configuration list, read as libcni reads it.
 * https://www.cni.dev/docs/spec/#section-1-network-configuration-format, and libcni/conf.go for what the specification
 * leaves open.
 */
import * as v from 'valibot';
import { isName } from '../cni/config.ts';
import { readJson } from '../cni/json.ts';
import { boolean, looseObject, object, parse, type Source } from '../cni/schema.ts';
import { DEFAULT_VERSION, isAtLeast, isSupported, SUPPORTED_VERSIONS } from '../cni/versions.ts';
import { NetloomError } from '../error.ts';

export type Json = Readonly<Record<string, unknown>>;

/** One plugin of a chain. */
export interface PluginEntry {
  readonly type: string;
  /** The capabilities that it declares: of the runtime's arguments only these reach it. */
  readonly capabilities: readonly string[];
  /** Its configuration, unchanged. */
  readonly conf: Json;
}

export interface Conflist {
  readonly name: string;
  /** The version to speak: the highest of `cniVersion` and `cniVersions` that we know. */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly loadOnlyInlinedPlugins: boolean;
  readonly plugins: readonly PluginEntry[];
  /** The whole list as JSON text, which the cache stores. */
  readonly text: string;
}

/** libcni accepts the words "true" and "false" for the values. */
const flag = v.optional(
  v.pipe(
    v.union([v.boolean(), v.string()], 'true or false'),
    v.rawTransform(({ dataset, addIssue, NEVER }): boolean => {
      const word = typeof dataset.value === 'string' ? dataset.value.toLowerCase() : String(dataset.value);
      if (word === 'true' || word === 'false') return word === 'true';
      addIssue({ message: 'true or false' });
      return NEVER;
    }),
  ),
  false,
);

const version = v.pipe(
  v.string('a version such as "1.1.0"'),
  v.regex(/^\d{1,4}\.\d{1,4}\.\d{1,4}$/, 'a version such as "1.1.0"'),
);

const SCHEMA = object({
  name: v.optional(v.string('a string'), ''),
  type: v.exactOptional(v.string('a string')),
  cniVersion: v.optional(v.string('a string'), ''),
  cniVersions: v.optional(v.array(version, 'a list of versions'), []),
  disableCheck: flag,
  disableGC: flag,
  loadOnlyInlinedPlugins: flag,
  plugins: v.exactOptional(v.array(looseObject({}), 'a list of plugin configurations')),
});

const ENTRY = object({
  type: v.optional(v.string('a string'), ''),
  capabilities: v.optional(v.record(v.string(), boolean), {}),
});

/**
 * Reads a list, or the configuration of a single plugin as a list of one. Does not look for plugins in a directory;
 * conf-directory.ts does.
 * @param from its name in error messages, such as its file
 * @throws NetloomError invalid-json, invalid-name, invalid-config, incompatible-version
 */
export function parseConflist(text: string, from: string): Conflist {
  const action = `Cannot read the network of ${from}`;
  const json = parseJson(text, action);
  const source: Source = { code: 'invalid-config', action };
  const { name, type, cniVersion, cniVersions, plugins, ...flags } = parse(SCHEMA, json, source);
  if (name === '') throw new NetloomError('invalid-name', `${action}: "name" is missing`);
  if (!isName(name)) {
    throw new NetloomError(
      'invalid-name',
      `${action}: "name" is ${JSON.stringify(name)}, expected a letter or digit, then letters, digits, "_", "." and "-"`,
    );
  }
  if (plugins === undefined && type === undefined && flags.loadOnlyInlinedPlugins) {
    throw new NetloomError('invalid-config', `${action}: "loadOnlyInlinedPlugins" is true, and "plugins" is missing`);
  }
  const entries = plugins ?? (type === undefined ? [] : [json]);
  const isSingle = plugins === undefined && type !== undefined;
  return {
    ...flags,
    name,
    cniVersion: versionToSpeak(cniVersion, cniVersions, action),
    plugins: entries.map((conf, i) => parsePlugin(conf, isSingle ? '' : `plugins[${i}]`, action)),
    text,
  };
}

/** Reads one plugin of a list. @param at its key path @throws NetloomError invalid-config */
export function parsePlugin(conf: unknown, at: string, action: string): PluginEntry {
  const { type, capabilities } = parse(ENTRY, conf, { code: 'invalid-config', action, at });
  if (type === '') {
    throw new NetloomError('invalid-config', `${action}: "${at === '' ? 'type' : `${at}.type`}" is missing`);
  }
  const declared = Object.keys(capabilities).filter((name) => capabilities[name] === true);
  return { type, capabilities: declared, conf: conf as Json };
}

/** Reads JSON that must be an object. @throws NetloomError invalid-json */
export function parseJson(text: string, action: string): Json {
  const json = readJson(text, { code: 'invalid-json', action });
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Json;
  throw new NetloomError('invalid-json', `${action}: expected a JSON object`);
}

/**
 * The list with plugins added at its end. NB: they are inlined, so that reading the text again does not add them twice.
 */
export function withPlugins(list: Conflist, more: readonly PluginEntry[]): Conflist {
  if (more.length === 0) return list;
  const plugins = [...list.plugins, ...more];
  const json = { ...(JSON.parse(list.text) as Json), plugins: plugins.map(({ conf }) => conf) };
  return { ...list, plugins, text: JSON.stringify({ ...json, loadOnlyInlinedPlugins: true }) };
}

/** The highest version that both know. Unknown versions in `cniVersions` are ignored: they are for others. */
function versionToSpeak(cniVersion: string, cniVersions: readonly string[], action: string): string {
  const known = cniVersions.filter(isSupported);
  const own = cniVersion === '' && cniVersions.length === 0 ? DEFAULT_VERSION : cniVersion;
  const all = isSupported(own) ? [...known, own] : known;
  if (all.length > 0) return all.reduce((best, each) => (isAtLeast(each, best) ? each : best));
  throw new NetloomError(
    'incompatible-version',
    `${action}: "cniVersion" is ${JSON.stringify(cniVersion)}, expected one of ${SUPPORTED_VERSIONS.join(', ')}`,
  );
}
