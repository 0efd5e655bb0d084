/**
 * Reads JSON with errors that say where it is wrong. The engines' own messages differ, and Bun's names no place.
 * https://www.rfc-editor.org/rfc/rfc8259
 */
import { NetloomError } from '../error.ts';
import type { Source } from './schema.ts';

/** @throws NetloomError with the source's code: `…: expected "," or "}" in line 2, column 5, not "x"` */
export function readJson(text: string, { code, action }: Source): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fault = jsonFault(text);
    if (fault !== undefined) throw new NetloomError(code, `${action}: ${fault}`, { cause });
    // JSON without a fault is too much for the engine.
    const limit = cause instanceof RangeError ? 'it is nested too deeply' : 'there is too little memory for it';
    throw new NetloomError(code, `${action}: ${limit}`, { cause });
  }
}

/** What may come next. */
type Next = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'more';

const EXPECTED: Readonly<Record<Exclude<Next, 'more'>, string>> = {
  value: 'a value',
  'value or ]': 'a value or "]"',
  key: 'a key in double quotes',
  'key or }': 'a key in double quotes or "}"',
  colon: '":"',
};

const WORD = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/** @returns the first fault, in words; undefined where the text is JSON */
export function jsonFault(text: string): string | undefined {
  /** The closing brackets of what is open. NB: a list, not recursion, because there may be a million. */
  const open: ('}' | ']')[] = [];
  let next = 'value' as Next;
  for (let at = afterSpace(text, 0); ; at = afterSpace(text, at)) {
    const char = text[at];
    const end = open.at(-1);
    if (next === 'more' && end === undefined) {
      return char === undefined ? undefined : unexpected(text, at, 'nothing after the end');
    }
    if (char !== undefined && char === end && (next === 'more' || next === 'value or ]' || next === 'key or }')) {
      open.pop();
      next = 'more';
      at++;
    } else if (next === 'more') {
      if (char !== ',') return unexpected(text, at, `"," or "${end}"`);
      next = end === '}' ? 'key' : 'value';
      at++;
    } else if (next === 'colon') {
      if (char !== ':') return unexpected(text, at, EXPECTED[next]);
      next = 'value';
      at++;
    } else if (char === '"') {
      const stop = endOfString(text, at);
      if (typeof stop === 'string') return stop;
      next = next === 'key' || next === 'key or }' ? 'colon' : 'more';
      at = stop;
    } else if (next === 'key' || next === 'key or }') {
      return unexpected(text, at, EXPECTED[next]);
    } else if (char === '{' || char === '[') {
      open.push(char === '{' ? '}' : ']');
      next = char === '{' ? 'key or }' : 'value or ]';
      at++;
    } else {
      WORD.lastIndex = at;
      if (!WORD.test(text)) return unexpected(text, at, EXPECTED[next]);
      next = 'more';
      at = WORD.lastIndex;
    }
  }
}

function afterSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at++;
  return at;
}

/** @returns the index after the string that begins here, or its fault */
function endOfString(text: string, begin: number): number | string {
  for (let at = begin + 1; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === 0x22) return at + 1;
    if (char < 0x20) return `a string has ${JSON.stringify(text[at])} in ${place(text, at)}, which has to be escaped`;
    if (char !== 0x5c) continue;
    const escaped = text.slice(at, at + (text[at + 1] === 'u' ? 6 : 2));
    if (!/^\\(?:["\\/bfnrt]|u[\da-fA-F]{4})$/.test(escaped)) {
      return `a string has the unknown escape ${JSON.stringify(escaped)} in ${place(text, at)}`;
    }
    at += escaped.length - 1;
  }
  return `the string that begins in ${place(text, begin)} has no end`;
}

function unexpected(text: string, at: number, expected: string): string {
  const found = at < text.length ? JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0)) : 'the end';
  return `expected ${expected} in ${place(text, at)}, not ${found}`;
}

function place(text: string, at: number): string {
  let [line, begin] = [1, 0];
  for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', begin)) {
    line++;
    begin = end + 1;
  }
  return `line ${line}, column ${at - begin + 1}`;
}
