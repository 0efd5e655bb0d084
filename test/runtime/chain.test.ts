/** How the plugins of a chain are called, in which order, and what is cached. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pathsOf } from '../../src/paths.ts';
import { AttachmentCache } from '../../src/runtime/cache.ts';
import { addChain, checkChain, delChain, gcChain, statusChain } from '../../src/runtime/chain.ts';
import { parseConflist } from '../../src/runtime/conflist.ts';
import type { Endpoint } from '../../src/runtime/invoke.ts';
import { becomeHost, makeRoot } from '../support/host.ts';
import { BIN, bridgeConf, Lab } from '../support/lab.ts';
import { FakePlugins } from './fake-plugins.ts';

becomeHost();

const endpoint: Endpoint = {
  containerId: 'c1',
  netns: '/nowhere',
  ifname: 'eth0',
  args: [['IgnoreUnknown', '1'], ['K', 'V']], // biome-ignore format: pairs
  capabilityArgs: {},
};

function place(t: ExecutionContext, ...types: string[]) {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  const fakes = new FakePlugins(path);
  for (const type of types) fakes.add(type);
  const warnings: string[] = [];
  const context = fakes.context(warnings);
  const list = (more: object = {}) =>
    parseConflist(
      JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: types.map((type) => ({ type })), ...more }),
      '"x"',
    );
  return { fakes, context, list, warnings, results: `${context.paths.cni}/results` };
}

test('ADD goes forward, each plugin with the result of the one before; DEL goes back, with the last result', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  const result = addChain(context, list(), endpoint);
  t.deepEqual(result, { cniVersion: '1.1.0', interfaces: [{ name: 'two' }] });
  t.deepEqual(fakes.calls(), [
    'one ADD c1 /nowhere eth0 IgnoreUnknown=1;K=V',
    'two ADD c1 /nowhere eth0 IgnoreUnknown=1;K=V',
  ]);
  t.deepEqual(fakes.confs(), [
    { type: 'one', name: 'net', cniVersion: '1.1.0' },
    {
      type: 'two',
      name: 'net',
      cniVersion: '1.1.0',
      prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'one' }] },
    },
  ]);
  checkChain(context, list(), endpoint);
  t.deepEqual(
    fakes.calls().map((line) => line.slice(0, 9)),
    ['one CHECK', 'two CHECK'],
  );
  fakes.confs();
  delChain(context, list(), endpoint);
  t.deepEqual(
    fakes.calls().map((line) => line.slice(0, 7)),
    ['two DEL', 'one DEL'],
  );
  for (const conf of fakes.confs()) t.deepEqual(conf['prevResult'], result);
});

test('before 0.4.0 a DEL has no result, and there is no CHECK', (t) => {
  const { fakes, context, list } = place(t, 'one');
  fakes.result('one', { cniVersion: '0.3.1', ips: [{ version: '4', address: '10.1.0.2/24' }] });
  const old = list({ cniVersion: '0.3.1' });
  addChain(context, old, endpoint);
  t.throws(() => checkChain(context, old, endpoint), {
    message: 'configuration version "0.3.1" of the network "net" does not support CHECK',
  });
  t.throws(() => statusChain(context, old), { message: /does not support STATUS/ });
  fakes.confs();
  delChain(context, old, endpoint);
  t.false('prevResult' in (fakes.confs()[0] ?? {}));
});

test('a result of another version is told in that of the list', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  fakes.result('one', { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.1.0.2/24' }] });
  addChain(context, list(), endpoint);
  t.deepEqual(fakes.confs()[1]?.['prevResult'], { cniVersion: '1.1.0', ips: [{ address: '10.1.0.2/24' }] });
});

test('only declared capabilities reach a plugin, and one that none declares is refused before any call', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
  const asked = { ...endpoint, capabilityArgs: { portMappings, mac: '02:00:00:00:00:01' } };
  const both = list({
    plugins: [
      { type: 'one', capabilities: { mac: true } },
      { type: 'two', capabilities: { portMappings: true, mac: false } },
    ],
  });
  addChain(context, both, asked);
  t.deepEqual(
    fakes.confs().map((conf) => conf['runtimeConfig']),
    [{ mac: '02:00:00:00:00:01' }, { portMappings }],
  );
  fakes.calls();
  t.throws(() => addChain(context, list({ plugins: [{ type: 'one', capabilities: { mac: true } }] }), asked), {
    message: /Cannot attach to the network "net" with "portMappings": none of its plugins has that capability/,
  });
  t.deepEqual(fakes.calls(), []);
});

test('a chain that fails is taken back, last one first, and nothing is remembered', (t) => {
  const { fakes, context, list, results } = place(t, 'one', 'two', 'three');
  fakes.fails('two', 'ADD');
  t.throws(() => addChain(context, list(), endpoint), { message: 'two refuses', code: 'cni-123' } as object);
  t.deepEqual(
    fakes.calls().map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['one ADD', 'two ADD', 'two DEL', 'one DEL'],
  );
  t.false(existsSync(results));
});

test('what a plugin prints besides a result takes the chain back', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  writeFileSync(join(fakes.bin, 'two.result'), 'no JSON');
  t.throws(() => addChain(context, list(), endpoint), { message: /Cannot read the result of "two"/ });
  t.deepEqual(
    fakes.calls().map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['one ADD', 'two ADD', 'two DEL', 'one DEL'],
  );
});

test('a second ADD is refused and leaves the first alone', (t) => {
  const { fakes, context, list } = place(t, 'one');
  addChain(context, list(), endpoint);
  fakes.calls();
  t.throws(() => addChain(context, list(), endpoint), { message: /it is attached already/ });
  t.deepEqual(fakes.calls(), []);
});

test('DEL calls every plugin though one fails, keeps the attachment until all succeed, and succeeds twice', (t) => {
  const { fakes, context, list, results } = place(t, 'one', 'two', 'three');
  addChain(context, list(), endpoint);
  fakes.calls();
  fakes.fails('two', 'DEL');
  t.throws(() => delChain(context, list(), endpoint), { message: 'two refuses' });
  t.is(fakes.calls().length, 3);
  t.true(existsSync(`${results}/net-c1-eth0`));
  fakes.fails('two', 'DEL', false);
  delChain(context, list(), endpoint);
  t.false(existsSync(`${results}/net-c1-eth0`));
  delChain(context, list(), endpoint);
  t.is(fakes.calls().length, 6);
});

test('a damaged file of the cache does not hold up a DEL, and goes with it; lists pass over it and say so', (t) => {
  const { fakes, context, list, results, warnings } = place(t, 'one');
  addChain(context, list(), endpoint);
  writeFileSync(`${results}/net-c1-eth0`, '{"kind":"cniCacheV1"');
  t.deepEqual(new AttachmentCache(context.paths.cni).list(context.warn), []);
  t.regex(warnings[0] ?? '', /Cannot read the attachment of ".*net-c1-eth0"/);
  t.throws(() => checkChain(context, list(), endpoint), { code: 'damaged-file' } as object);
  fakes.confs();
  delChain(context, list(), endpoint);
  t.false('prevResult' in (fakes.confs()[0] ?? {}));
  t.false(existsSync(`${results}/net-c1-eth0`));
});

test('attachments are kept in the files of libcni', (t) => {
  const { context, list, results } = place(t, 'one');
  const attached = { ...endpoint, capabilityArgs: { mac: '02:00:00:00:00:01' } };
  const capable = list({ plugins: [{ type: 'one', capabilities: { mac: true } }] });
  addChain(context, capable, attached);
  const file = `${results}/net-c1-eth0`;
  t.is(statSync(results).mode & 0o777, 0o700);
  t.is(statSync(file).mode & 0o777, 0o600);
  // Field by field as cachedInfo in libcni/api.go writes it.
  t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
    kind: 'cniCacheV1',
    containerId: 'c1',
    config: Buffer.from(capable.text).toString('base64'),
    ifName: 'eth0',
    networkName: 'net',
    netns: '/nowhere',
    cniArgs: [['IgnoreUnknown', '1'], ['K', 'V']], // biome-ignore format: pairs
    capabilityArgs: { mac: '02:00:00:00:00:01' },
    result: { cniVersion: '1.1.0', interfaces: [{ name: 'one' }] },
  });
  const [read] = new AttachmentCache(context.paths.cni).list(context.warn);
  t.like(read, { network: 'net', containerId: 'c1', ifname: 'eth0', config: capable.text });
});

test('CHECK and GC follow disableCheck and disableGC', (t) => {
  const { fakes, context, list } = place(t, 'one');
  const off = list({ disableCheck: 'true', disableGC: true });
  addChain(context, off, endpoint);
  fakes.calls();
  checkChain(context, off, endpoint);
  gcChain(context, off, []);
  t.deepEqual(fakes.calls(), []);
});

test('CHECK of what is not attached says so', (t) => {
  const { context, list } = place(t, 'one');
  t.throws(() => checkChain(context, list(), endpoint), { message: /it is not attached to the network "net"/ });
});

test('GC deletes what is not valid, by DEL with the conflist of its ADD, then tells every plugin what is valid', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  addChain(context, list({ plugins: [{ type: 'one', was: 'before' }] }), endpoint);
  addChain(context, list(), { ...endpoint, containerId: 'c2' });
  addChain(context, list({ name: 'other' }), endpoint);
  fakes.calls();
  fakes.confs();
  const valid = [{ containerID: 'c2', ifname: 'eth0' }];
  gcChain(context, list(), valid);
  t.deepEqual(fakes.calls(), ['one DEL c1 /nowhere eth0 IgnoreUnknown=1;K=V', 'one GC', 'two GC']);
  const [del, ...gcs] = fakes.confs();
  t.is(del?.['was'], 'before');
  for (const gc of gcs) t.like(gc, { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid });
  const left = new AttachmentCache(context.paths.cni).list(context.warn);
  t.deepEqual(
    left.map(({ network, containerId }) => `${network} ${containerId}`),
    ['net c2', 'other c1'],
  );
});

test('GC before 1.1.0 deletes by DEL and calls no GC', (t) => {
  const { fakes, context, list } = place(t, 'one');
  const old = list({ cniVersion: '1.0.0' });
  addChain(context, old, endpoint);
  fakes.calls();
  gcChain(context, old, []);
  t.deepEqual(
    fakes.calls().map((line) => line.slice(0, 7)),
    ['one DEL'],
  );
});

test('STATUS asks every plugin and says what the first says that cannot serve', (t) => {
  const { fakes, context, list } = place(t, 'one', 'two');
  statusChain(context, list());
  t.deepEqual(fakes.calls(), ['one STATUS', 'two STATUS']);
  fakes.fails('two', 'STATUS');
  t.throws(() => statusChain(context, list()), { message: 'two refuses' });
});

test('a plugin that is nowhere is named with the places that were looked at', (t) => {
  const { context, list } = place(t, 'one');
  t.throws(() => addChain(context, list({ plugins: [{ type: 'absent' }] }), endpoint), {
    message: /failed to find plugin "absent" in path \[.*bin\]/,
  });
});

test.serial('plugins of ours run in this process: nothing is executed but what they delegate to', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  // A runtime that executes plugins would take this executable.
  const fakes = new FakePlugins(lab.root);
  fakes.add('bridge');
  const context = { ...fakes.context(), pluginPath: [fakes.bin, BIN] };
  const list = parseConflist(JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: [bridgeConf()] }), '"x"');
  const target: Endpoint = { ...endpoint, netns: sandbox.path, args: [] };
  const before = lab.snapshot();
  const result = addChain(context, list, target) as { ips: { address: string }[] };
  t.deepEqual(fakes.calls(), []);
  t.deepEqual(
    result.ips.map(({ address }) => address),
    ['10.1.0.2/24'],
  );
  t.true(sandbox.reaches('10.1.0.1'));
  checkChain(context, list, target);
  sandbox.run('ip', 'addr', 'flush', 'dev', 'eth0');
  t.throws(() => checkChain(context, list, target), { message: /10\.1\.0\.2/ });
  delChain(context, list, target);
  t.is(lab.snapshot().replace(/^\d+: cni0.*\n|.*\bcni0\b.*\n/gm, ''), before);
});

test.serial('a name that an interface of the container has is refused, and that interface stays', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  sandbox.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
  const fakes = new FakePlugins(lab.root);
  fakes.add('one');
  const list = parseConflist('{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"one"}]}', '"x"');
  t.throws(() => addChain(fakes.context(), list, { ...endpoint, netns: sandbox.path }), {
    message: 'Cannot add "eth0": the container has an interface of that name',
  });
  t.deepEqual(fakes.calls(), []);
});

test('NETLOOM_ROOT moves conflists and cache', (t) => {
  t.deepEqual(
    [pathsOf({ NETLOOM_ROOT: '/lab' }), pathsOf({})].map(({ conf, cni }) => [conf, cni]),
    [
      ['/lab/etc/cni/net.d', '/lab/var/lib/cni'],
      ['/etc/cni/net.d', '/var/lib/cni'],
    ],
  );
});
