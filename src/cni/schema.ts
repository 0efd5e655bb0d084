/**
 * Schemas for what arrives as JSON, read as Go's encoding/json reads it, because every conflist in the field was
 * written for that: keys match without regard to case (an exact match wins), unknown keys pass, null counts as missing,
 * and a wrong type fails. https://pkg.go.dev/encoding/json#Unmarshal
 */
import * as v from 'valibot';
import { NetloomError } from '../error.ts';
import { Cidr } from '../net/cidr.ts';
import { ifnameFault } from '../net/ifname.ts';
import { Ip } from '../net/ip.ts';
import { tryParseMac } from '../net/mac.ts';

/** Where a value came from, for the error about it. */
export interface Source {
  /** The code word of the error. */
  readonly code: string;
  /** What fails, such as `failed to load netconf`. */
  readonly action: string;
  /** The key path of the value itself, such as `ipam`; empty for the whole. */
  readonly at?: string;
}

/** An object with these entries. */
export function object<const E extends v.ObjectEntries>(entries: E): v.ObjectSchema<E, undefined> {
  return folding(v.object(entries), false);
}

/** As object(), but unknown keys are kept as they came. */
export function looseObject<const E extends v.ObjectEntries>(entries: E): v.LooseObjectSchema<E, undefined> {
  return folding(v.looseObject(entries), true);
}

/** Text where the empty string means that there is none, like Go's `omitempty`. */
export const text = v.string();

export const boolean = v.boolean('true or false');

/** An address. Optional entries may be the empty string. */
export const ip = parsed('an IP address such as "10.1.0.1"', Ip.tryParse);

/** An address with the length of its prefix; host bits are kept. */
export const cidr = parsed('an address with a prefix such as "10.1.0.0/24"', Cidr.tryParse);

/** A MAC, in any notation. Optional entries may be the empty string. */
export const mac = parsed('a MAC address such as "02:42:0a:01:00:02"', tryParseMac);

/** The name of an interface. Optional entries may be the empty string. */
export const ifname = parsed(
  'the name of an interface: 1 to 15 bytes without "/", ":", "%" and white space, not "all" or "default"',
  (name) => (ifnameFault(name) === undefined ? name : undefined),
);

/** A whole number between two bounds, both included. */
export function integer(min: number, max: number) {
  const expected =
    min === Number.MIN_SAFE_INTEGER && max === Number.MAX_SAFE_INTEGER
      ? 'a whole number'
      : `a whole number from ${min} to ${max}`;
  const isOne = (value: number) => Number.isInteger(value) && value >= min && value <= max;
  return read(v.number(expected), (value) => (isOne(value) ? value : undefined));
}

export const int32 = integer(-(2 ** 31), 2 ** 31 - 1);
export const uint32 = integer(0, 2 ** 32 - 1);
/** Go's int, as far as a JavaScript number is exact. */
export const int = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

/** Schemas for which an empty string in an optional entry counts as missing: Go reads it as the zero value. */
const BLANK_IS_MISSING: ReadonlySet<unknown> = new Set([text, ip, mac, ifname]);

/**
 * Checks a value. Equivalent to valibot's parse(), with a complaint that names the key path, the value and what was
 * expected.
 * @throws NetloomError with the source's code
 */
export function parse<const S extends v.GenericSchema>(schema: S, value: unknown, source: Source): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  throw new NetloomError(source.code, `${source.action}: ${complaintOf(result.issues[0], source.at ?? '')}`);
}

/** The schema of a text that is parsed. @param tryParse returns undefined where it cannot be */
export function parsed<T>(expected: string, tryParse: (text: string) => T | undefined): v.GenericSchema<string, T> {
  return read(v.string(expected), tryParse);
}

/**
 * A schema whose values are converted. Where `as` returns undefined, the schema's own message says what was expected.
 * NB: not a pipe of valibot's, for the same reason as below: each takes a fresh process 0.02 ms to make.
 */
function read<I, T>(schema: v.GenericSchema<I>, as: (value: I) => T | undefined): v.GenericSchema<I, T> {
  const run: (typeof schema)['~run'] = (dataset, config) => {
    const checked = schema['~run'](dataset, config);
    if (!checked.typed) return checked;
    const value = as(checked.value);
    if (value === undefined) v._addIssue(schema, 'value', checked, config);
    else Object.assign(checked, { value });
    return checked;
  };
  return { ...schema, '~run': run } as unknown as v.GenericSchema<I, T>;
}

/**
 * An object's schema that first finds its keys. A list fails, which valibot would take for an object.
 * NB: not a pipe of valibot's, which costs a call of the plugin 0.2 ms.
 */
function folding<S extends v.GenericSchema & { readonly entries: v.ObjectEntries }>(
  schema: S,
  keepsUnknown: boolean,
): S {
  return {
    ...schema,
    '~run'(dataset: Parameters<S['~run']>[0], config: Parameters<S['~run']>[1]) {
      const { value } = dataset;
      if (Array.isArray(value)) {
        v._addIssue(schema, 'type', dataset, config);
        return dataset;
      }
      if (typeof value === 'object' && value !== null) dataset.value = fold(value, schema.entries, keepsUnknown);
      return schema['~run'](dataset, config);
    },
  };
}

/** The keys of an object under the names that the schema has for them. */
function fold(value: object, entries: v.ObjectEntries, keepsUnknown: boolean): Record<string, unknown> {
  const folded: Record<string, unknown> = {};
  let names: Record<string, string> | undefined;
  for (const key in value) {
    const item = value[key as keyof typeof value];
    let name: string | undefined = key;
    if (!Object.hasOwn(entries, key)) {
      names ??= lowerCaseNames(entries);
      name = names[key.toLowerCase()];
    }
    if (name === undefined) {
      if (keepsUnknown) folded[key] = item;
    } else if (!isMissing(item, entries[name]) && (name === key || !Object.hasOwn(folded, name))) {
      folded[name] = item;
    }
  }
  return folded;
}

function lowerCaseNames(entries: v.ObjectEntries): Record<string, string> {
  const names: Record<string, string> = Object.create(null);
  for (const name in entries) names[name.toLowerCase()] = name;
  return names;
}

/** Whether a value is Go's way to say that there is none. */
function isMissing(item: unknown, entry: v.ObjectEntries[string] | undefined): boolean {
  const schema = entry !== undefined && 'wrapped' in entry ? (entry.wrapped as v.GenericSchema) : entry;
  return (
    (item === null && schema?.type !== 'nullable') || (item === '' && schema !== entry && BLANK_IS_MISSING.has(schema))
  );
}

function complaintOf(issue: v.BaseIssue<unknown>, at: string): string {
  const path = pathOf(issue, at);
  const subject = path === '' ? 'the whole' : JSON.stringify(path);
  if (issue.kind === 'schema' && issue.input === undefined) return `${subject} is missing`;
  // The issue of a key that must not be there has the key in place of its value.
  const value = issue.expected === 'never' ? issue.path?.at(-1)?.value : issue.input;
  return `${subject} is ${excerpt(value)}, expected ${expectationOf(issue)}`;
}

/** `ipam.ranges[0][0].subnet` */
function pathOf(issue: v.BaseIssue<unknown>, at: string): string {
  let path = at;
  for (const { key } of issue.path ?? []) {
    if (typeof key === 'number') path += `[${key}]`;
    else path += path === '' ? String(key) : `.${String(key)}`;
  }
  return path;
}

/** The message of our own schemas; for a schema without one, valibot's expectation in our words. */
function expectationOf(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith('Invalid ')) return issue.message;
  const expected = issue.expected ?? issue.type.replaceAll('_', ' ');
  const words = expected.replace(/^\((.*)\)$/, '$1').split(' | ');
  return words.map((word) => WORDS[word] ?? word).join(' or ');
}

const WORDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  Array: 'a list',
  Object: 'an object',
};

/** A value as JSON, cut where it is long: the complaint is one line. */
function excerpt(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 120 ? `${json.slice(0, 117)}...` : json;
}
