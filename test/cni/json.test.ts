/** Where a text is not JSON, in our own words. Node's engine judges whether it is. */
import test from 'ava';
import fc from 'fast-check';
import { jsonFault, readJson } from '../../src/cni/json.ts';
import { NetloomError } from '../../src/error.ts';

const FAULTS: Readonly<Record<string, string>> = {
  '': 'expected a value in line 1, column 1, not the end',
  '{': 'expected a key in double quotes or "}" in line 1, column 2, not the end',
  '{"a": 1\n "b": 2}': 'expected "," or "}" in line 2, column 2, not "\\""',
  '{"a": 1,\n}': 'expected a key in double quotes in line 2, column 1, not "}"',
  "{'a': 1}": 'expected a key in double quotes or "}" in line 1, column 2, not "\'"',
  '{"a" 1}': 'expected ":" in line 1, column 6, not "1"',
  '{"a": }': 'expected a value in line 1, column 7, not "}"',
  '{"a": [1 2]}': 'expected "," or "]" in line 1, column 10, not "2"',
  '{"a": [1, 2}': 'expected "," or "]" in line 1, column 12, not "}"',
  '[,]': 'expected a value or "]" in line 1, column 2, not ","',
  '{} {}': 'expected nothing after the end in line 1, column 4, not "{"',
  '{"a": 01}': 'expected a value in line 1, column 7, not "0"',
  '{"a": True}': 'expected a value in line 1, column 7, not "T"',
  '{"a": nul': 'expected a value in line 1, column 7, not "n"',
  '{"a": \u{1F310}}': 'expected a value in line 1, column 7, not "\u{1F310}"',
  '// text\n{}': 'expected a value in line 1, column 1, not "/"',
  '{"a": "b\nc"}': 'a string has "\\n" in line 1, column 9, which has to be escaped',
  '{"a": "\\x41"}': 'a string has the unknown escape "\\\\x" in line 1, column 8',
  '{"a": "\\u12"}': 'a string has the unknown escape "\\\\u12\\"}" in line 1, column 8',
  '{\n  "a": "b}': 'the string that begins in line 2, column 8 has no end',
  '\0': 'expected a value in line 1, column 1, not "\\u0000"',
};

for (const [text, fault] of Object.entries(FAULTS)) {
  test(`${JSON.stringify(text)}: ${fault}`, (t) => {
    t.throws(() => JSON.parse(text));
    t.is(jsonFault(text), fault);
  });
}

test('a fault is found where JSON.parse() throws, and nowhere else', (t) => {
  const garbage = fc.constantFrom(...'{}[],:"\\ \n\t0123-+.eEtrufalsn/u\0\u00a0\ud800');
  const edit = fc.record({ at: fc.nat(1000), removed: fc.nat(3), added: fc.string({ unit: garbage, maxLength: 3 }) });
  const damaged = fc.tuple(fc.json(), fc.array(edit, { maxLength: 2 })).map(([json, edits]) =>
    edits.reduce((text, { at, removed, added }) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + added + text.slice(place + removed);
    }, json),
  );
  fc.assert(
    fc.property(fc.oneof(damaged, fc.string({ unit: garbage, maxLength: 12 })), (text) => {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      t.is(jsonFault(text) === undefined, isJson, `${jsonFault(text)}: ${JSON.stringify(text)}`);
    }),
    { numRuns: 3000 },
  );
});

test('a million levels are no fault', (t) => {
  t.is(jsonFault('['.repeat(1e6) + ']'.repeat(1e6)), undefined);
});

test('the error has the code and the action of the source', (t) => {
  const error = t.throws(() => readJson('{', { code: 'invalid-json', action: 'Cannot read it' }), {
    instanceOf: NetloomError,
  });
  t.is(error.code, 'invalid-json');
  t.is(error.message, 'Cannot read it: expected a key in double quotes or "}" in line 1, column 2, not the end');
});
