/** The agent's settings: flags count most, then `/etc/netloom/agent.json`, which it reads again on SIGHUP. */
import * as v from 'valibot';
import { parse } from '../cni/schema.ts';
import { NetloomError } from '../error.ts';
import { tryReadText } from '../ffi/file.ts';
import { parseJson } from '../runtime/conflist.ts';
import { LEVELS, type Level } from './log.ts';

export interface Settings {
  /** Seconds that a call may take. */
  readonly callLimit: number;
  /** Seconds that calls may go on after SIGTERM. */
  readonly drainLimit: number;
  readonly logLevel: Level;
  /** Addresses to answer at besides the agent's own socket: `HOST:PORT`, `unix:/PATH`. */
  readonly metrics: readonly string[];
}

export const DEFAULTS: Settings = { callLimit: 120, drainLimit: 30, logLevel: 'info', metrics: [] };

/** Where the agent can be asked. */
export type Address = { readonly unix: string } | { readonly hostname: string; readonly port: number };

const ADDRESS = 'an address such as "127.0.0.1:9464", "[::1]:9464" or "unix:/run/netloom/metrics.sock"';
/**
 * A shim waits for 150 s (native/shim.c, ANSWER_LIMIT_MS): a call that takes longer would be undone when it has
 * finished.
 */
export const CALL_LIMIT_MAX = 140;
export const DRAIN_LIMIT_MAX = 86_400;

/** @param most the largest number that it may be */
function seconds(most: number) {
  const expected = `a number of seconds above 0, up to ${most}`;
  return v.pipe(
    v.number(expected),
    v.check((value) => isSeconds(value, most), expected),
  );
}

const SCHEMA = v.strictObject(
  {
    callLimit: v.exactOptional(seconds(CALL_LIMIT_MAX)),
    drainLimit: v.exactOptional(seconds(DRAIN_LIMIT_MAX)),
    logLevel: v.exactOptional(v.picklist(LEVELS, `one of ${LEVELS.join(', ')}`)),
    metrics: v.exactOptional(
      v.array(
        v.pipe(
          v.string(ADDRESS),
          v.check((text) => tryAddress(text) !== undefined, ADDRESS),
        ),
        'a list',
      ),
    ),
  },
  `no such key, only ${Object.keys(DEFAULTS).join(', ')}`,
);

/** Settings, some of which are given. */
export type SomeSettings = { readonly [K in keyof Settings]?: Settings[K] | undefined };

/** @throws NetloomError invalid-json, invalid-config: what is wrong with the file */
export function readSettings(file: string, flags: SomeSettings): Settings {
  const text = tryReadText(file);
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  return { ...DEFAULTS, ...(text !== undefined && read(text, file)), ...given };
}

function read(text: string, file: string): Partial<Settings> {
  const action = `Cannot read the settings of "${file}"`;
  return parse(SCHEMA, parseJson(text, action), { code: 'invalid-config', action });
}

export function isSeconds(value: number, most: number): boolean {
  return value > 0 && value <= most;
}

/** @throws NetloomError invalid-address */
export function addressOf(text: string): Address {
  const address = tryAddress(text);
  if (address !== undefined) return address;
  throw new NetloomError('invalid-address', `"${text}" cannot be listened at, expected ${ADDRESS}`);
}

function tryAddress(text: string): Address | undefined {
  if (text.startsWith('unix:/')) return { unix: text.slice('unix:'.length) };
  const [, hostname, host = hostname, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  return host !== undefined && port >= 1 && port <= 65_535 ? { hostname: host, port } : undefined;
}
