/**
 * What etcd's JSON gateway takes and gives: bytes are Base64, int64 are strings, and zero values are missing. A PUT
 * event has no `type`, a failed transaction no `succeeded`, an expired lease no `TTL`.
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 */

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /**
   * The revision of its last change. NB: a number, because thousands of them take no memory of their own. It is exact
   * until a store with a million changes a second is 285 years old.
   */
  readonly revision: number;
  /** The lease that the key expires with; '0' where there is none. */
  readonly lease: string;
}

export interface RangeAnswer {
  readonly kvs: readonly KeyValue[];
}

/** What happened to a key. */
export type KeyEvent = { readonly put: KeyValue } | { readonly deleted: string };

/** A part of an answer that has not been checked yet. */
export type Part = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder();

/** The UTF-8 of a text in Base64. */
export function encode(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes));
}

/** The text in Base64; empty where the field is missing. */
export function decode(base64: unknown): string {
  return typeof base64 === 'string' ? decoder.decode(Uint8Array.fromBase64(base64)) : '';
}

/**
 * All keys that begin with a text, as `key` and `range_end`. NB: the text must not be empty, and its last character
 * must have a successor.
 */
export function startingWith(text: string) {
  const end = text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
  return { key: encode(text), range_end: encode(end) };
}

export function put(key: string, value: string, lease = '0') {
  return { request_put: { key: encode(key), value: encode(value), lease } };
}

export function remove(key: string) {
  return { request_delete_range: { key: encode(key) } };
}

/** Requires that a key has not changed since a revision; 0: that the key does not exist. */
export function isAt(key: string, revision: number) {
  return { key: encode(key), target: 'MOD', result: 'EQUAL', mod_revision: `${revision}` };
}

/** The fields of an object; none where the value is no object. */
export function part(value: unknown): Part {
  return typeof value === 'object' && value !== null ? (value as Part) : {};
}

export function parts(value: unknown): Part[] {
  return Array.isArray(value) ? value.map(part) : [];
}

/** The digits of an int64; '0' where the field is missing. */
export function int64(value: unknown): string {
  return typeof value === 'string' ? value : '0';
}

export function keyValue(value: Part): KeyValue {
  return {
    key: decode(value['key']),
    value: decode(value['value']),
    revision: Number(int64(value['mod_revision'])),
    lease: int64(value['lease']),
  };
}

export function keyEvent(event: Part): KeyEvent {
  const kv = keyValue(part(event['kv']));
  return event['type'] === 'DELETE' ? { deleted: kv.key } : { put: kv };
}
