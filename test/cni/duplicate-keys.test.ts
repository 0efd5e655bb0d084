/** Finding duplicate keys in JSON, checked with texts whose duplicates are known. */
import test from 'ava';
import fc from 'fast-check';
import { duplicateKeys } from '../../src/cni/duplicate-keys.ts';

for (const [text, expected] of [
  ['{"a": 1, "b": {"a": 1}}', []],
  ['{"a": 1, "a": "x, \\"a\\": 2"}', [{ at: [], key: 'a', values: ['1', '"x, \\"a\\": 2"'] }]],
  ['{"l": [{}, {"k\\u0065y": {}, "key": [1]}]}', [{ at: ['l', 1], key: 'key', values: ['{', '['] }]],
  ['{"a": [1, {"b": 1}, 2], "c": {"b": true, "b": null}}', [{ at: ['c'], key: 'b', values: ['true', 'null'] }]],
  ['[]', []],
] as const) {
  test(`the keys that are there twice: ${text}`, (t) => {
    t.deepEqual(duplicateKeys(text), [...expected] as ReturnType<typeof duplicateKeys>);
  });
}

test('what JSON.stringify() writes has no key twice, and one that is put before the others is found', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (object) => {
      const text = JSON.stringify({ in: object }, null, 1);
      t.deepEqual(duplicateKeys(text), []);
      const [key = ''] = Object.keys(object);
      const found = duplicateKeys(text.replace('{', () => `{"in": {${JSON.stringify(key)}: 0}, `));
      t.deepEqual(found, [{ at: [], key: 'in', values: ['{', '{'] }]);
      const inner = text.indexOf('{', 1) + 1;
      const [twice] = duplicateKeys(`${text.slice(0, inner)}${JSON.stringify(key)}: 0,${text.slice(inner)}`);
      t.deepEqual([twice?.at, twice?.key, twice?.values[0]], [['in'], key, '0']);
    }),
    { numRuns: 100 },
  );
});
