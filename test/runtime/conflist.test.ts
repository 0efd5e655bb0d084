/** Conflists as libcni reads them, from one file and from a directory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { findNetwork, loadConflist, readNetworks } from '../../src/runtime/conf-directory.ts';
import { parseConflist } from '../../src/runtime/conflist.ts';
import { makeRoot } from '../support/host.ts';

const plugins = [{ type: 'bridge' }];
const read = (json: unknown) => parseConflist(JSON.stringify(json), '"x"');

test('a list has its plugins, their capabilities and its flags', (t) => {
  const list = read({
    cniVersion: '1.0.0',
    name: 'net',
    disableCheck: true,
    plugins: [{ type: 'bridge' }, { type: 'portmap', capabilities: { portMappings: true, other: false } }],
  });
  t.is(list.name, 'net');
  t.deepEqual(
    list.plugins.map(({ type, capabilities }) => [type, capabilities]),
    [
      ['bridge', []],
      ['portmap', ['portMappings']],
    ],
  );
  t.true(list.disableCheck);
  t.false(list.disableGC);
});

test('a configuration of one plugin is a list of one', (t) => {
  const list = read({ cniVersion: '0.4.0', name: 'net', type: 'ptp', capabilities: { mac: true } });
  t.is(list.cniVersion, '0.4.0');
  t.deepEqual(list.plugins[0]?.capabilities, ['mac']);
});

const versions: readonly [title: string, json: object, spoken: string][] = [
  ['cniVersion', { cniVersion: '0.3.1' }, '0.3.1'],
  ['none means 0.1.0', {}, '0.1.0'],
  ['the highest of both', { cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.1.0'] }, '1.1.0'],
  ['cniVersion when it is higher', { cniVersion: '1.1.0', cniVersions: ['0.4.0'] }, '1.1.0'],
  ['those that nobody knows yet are passed over', { cniVersion: '2.0.0', cniVersions: ['1.0.0', '3.0.0'] }, '1.0.0'],
  ['cniVersions alone', { cniVersions: ['0.3.0', '0.4.0'] }, '0.4.0'],
];
for (const [title, json, spoken] of versions) {
  test(`the version to speak: ${title}`, (t) => {
    t.is(read({ name: 'net', plugins, ...json }).cniVersion, spoken);
  });
}

const flags: readonly [value: unknown, read: boolean][] = [
  [true, true],
  [false, false],
  ['true', true],
  ['True', true],
  ['false', false],
];
for (const key of ['disableCheck', 'disableGC', 'loadOnlyInlinedPlugins'] as const) {
  for (const [value, expected] of flags) {
    test(`${key} may be ${JSON.stringify(value)}`, (t) => {
      t.is(read({ name: 'net', plugins, [key]: value })[key], expected);
    });
  }
}

const bad: readonly [title: string, text: string, message: RegExp][] = [
  ['no JSON', '{', /Cannot read the network of "x": /],
  ['a list', '[]', /expected a JSON object/],
  ['no name', '{"plugins":[{"type":"a"}]}', /"name" is missing/],
  ['a path as name', '{"name":"a/b","plugins":[{"type":"a"}]}', /"name" is "a\/b", expected/],
  ['a number as name', '{"name":7,"plugins":[{"type":"a"}]}', /"name" is 7, expected a string/],
  ['plugins that are no list', '{"name":"n","plugins":{}}', /"plugins" is \{\}, expected a list/],
  ['a plugin that is no object', '{"name":"n","plugins":["bridge"]}', /"plugins\[0\]" is "bridge", expected an object/],
  ['a plugin without a type', '{"name":"n","plugins":[{"type":"a"},{}]}', /"plugins\[1\].type" is missing/],
  [
    'a flag of another word',
    '{"name":"n","disableCheck":"yes","plugins":[]}',
    /"disableCheck" is "yes", expected true/,
  ],
  ['a flag of another type', '{"name":"n","disableGC":1,"plugins":[]}', /"disableGC" is 1, expected true or false/],
  ['only inlined plugins, and none', '{"name":"n","loadOnlyInlinedPlugins":true}', /"plugins" is missing/],
  ['a version that is unknown', '{"name":"n","cniVersion":"9.0.0","plugins":[]}', /"cniVersion" is "9.0.0", expected/],
  ['cniVersions that are no list', '{"name":"n","cniVersions":"1.0.0","plugins":[]}', /"cniVersions" is "1.0.0"/],
  [
    'a version that is none',
    '{"name":"n","cniVersions":["one"],"plugins":[]}',
    /"cniVersions\[0\]" is "one", expected/,
  ],
  [
    'capabilities that are words',
    '{"name":"n","plugins":[{"type":"a","capabilities":{"mac":"yes"}}]}',
    /"plugins\[0\].capabilities.mac" is "yes"/,
  ],
];
for (const [title, text, message] of bad) {
  test(`refused: ${title}`, (t) => {
    t.throws(() => parseConflist(text, '"x"'), { message });
  });
}

test('a directory is read by file name, lists first; what is broken hides nothing, and the first of a name wins', (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  const write = (name: string, json: unknown) => writeFileSync(join(path, name), JSON.stringify(json));
  write('20-b.conflist', { name: 'b', plugins });
  write('10-a.conflist', { name: 'a', plugins });
  write('00-single.conf', { name: 'single', type: 'bridge' });
  write('30-again.conflist', { name: 'a', plugins });
  write('40-empty.conflist', { name: 'empty', plugins: [] });
  write('README.md', {});
  writeFileSync(join(path, '05-broken.conflist'), '{');
  mkdirSync(join(path, '50-dir.conflist'));
  const { networks, faults } = readNetworks(path);
  t.deepEqual(
    networks.map(({ list }) => list.name),
    ['a', 'b', 'single'],
  );
  t.deepEqual(
    faults.map(({ file }) => file.slice(path.length + 1)),
    ['05-broken.conflist', '30-again.conflist', '40-empty.conflist'],
  );
  t.regex(faults[1]?.message ?? '', /the network "a" of ".*10-a.conflist" hides it/);
  t.is(findNetwork(path, 'b').file, join(path, '20-b.conflist'));
  const error = t.throws(() => findNetwork(path, 'c'), { message: /There is no network "c"/ });
  t.like(error, { code: 'no-network', hint: 'there are: a, b, single' });
});

test('a missing directory has no networks', (t) => {
  t.deepEqual(readNetworks('/nowhere'), { networks: [], faults: [] });
});

test("plugins of the directory that has the network's name are added by file name, unless only inlined ones are wanted", (t) => {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  mkdirSync(join(path, 'net'));
  writeFileSync(join(path, 'net', '20-z.conf'), '{"type":"z"}');
  writeFileSync(join(path, 'net', '10-y.conf'), '{"type":"y","capabilities":{"mac":true}}');
  writeFileSync(join(path, 'net', 'other.json'), '{"type":"x"}');
  const file = join(path, 'net.conflist');
  const types = () => loadConflist(file).plugins.map(({ type }) => type);
  writeFileSync(file, '{"name":"net","cniVersion":"1.1.0"}');
  t.deepEqual(types(), ['y', 'z']);
  writeFileSync(file, JSON.stringify({ name: 'net', plugins }));
  t.deepEqual(types(), ['bridge', 'y', 'z']);
  // The text from the cache is read again, and must not grow.
  t.deepEqual(
    parseConflist(loadConflist(file).text, '"cache"').plugins.map(({ type }) => type),
    ['bridge', 'y', 'z'],
  );
  t.true(parseConflist(loadConflist(file).text, '"cache"').loadOnlyInlinedPlugins);
  writeFileSync(file, JSON.stringify({ name: 'net', plugins, loadOnlyInlinedPlugins: 'true' }));
  t.deepEqual(types(), ['bridge']);
  writeFileSync(join(path, 'net', '30-bad.conf'), '{}');
  writeFileSync(file, JSON.stringify({ name: 'net', plugins }));
  t.throws(types, { message: /Cannot read the plugin of ".*30-bad.conf": "type" is missing/ });
});
