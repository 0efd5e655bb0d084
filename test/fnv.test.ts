/** The hash, checked against its definition in RFC 9923 and values published by others. */
import test from 'ava';
import { fnv1a } from '../src/fnv.ts';

function byDefinition(text: string, basis: bigint): string {
  let hash = basis;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

test('what others publish', (t) => {
  t.is(fnv1a(''), 'cbf29ce484222325');
  t.is(fnv1a('a'), 'af63dc4c8601ec8c');
  t.is(fnv1a('foobar'), '85944171f73967e8');
});

test('two halves of 32 bits come to the same as 64', (t) => {
  let basis = 0xcbf29ce484222325n;
  for (let i = 0; i < 2000; i++) {
    const text = `node ${i} \u{1f600}${'x'.repeat(i % 40)}`;
    const expected = byDefinition(text, basis);
    t.is(fnv1a(text, basis), expected);
    basis = BigInt(`0x${expected}`);
  }
});
