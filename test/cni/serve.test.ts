import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as v from 'valibot';
import type { CniCall, NetConf } from '../../src/cni/call.ts';
import { confSchema, integer } from '../../src/cni/config.ts';
import { foreignError } from '../../src/cni/error.ts';
import type { Plugin } from '../../src/cni/plugin.ts';
import type { CniResult } from '../../src/cni/result.ts';
import { type ServeIo, serve } from '../../src/cni/serve.ts';
import { NetloomError } from '../../src/error.ts';
import { Cidr } from '../../src/net/cidr.ts';

const RESULT: CniResult = { interfaces: [{ name: 'eth0' }], ips: [{ address: Cidr.parse('10.0.0.2/24') }] };

const ENVIRONMENT = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

const CONF = { cniVersion: '1.1.0', name: 'net', type: 'test' };

type TestConf = NetConf & { readonly mtu: number };

/** A plugin that records its calls. */
function pluginOf(overrides: Partial<Plugin<TestConf>> = {}) {
  const calls: CniCall<TestConf>[] = [];
  const note = (call: CniCall<TestConf>) => {
    calls.push(call);
  };
  const plugin: Plugin<TestConf> = {
    type: 'test',
    about: 'notes its calls',
    schema: confSchema({ mtu: v.optional(integer(0, 65535), 0) }),
    add: (call) => {
      note(call);
      return RESULT;
    },
    del: note,
    check: note,
    gc: note,
    status: note,
    ...overrides,
  };
  return { plugin, calls };
}

interface Setup {
  readonly plugin?: Partial<Plugin<TestConf>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly conf?: unknown;
  readonly io?: Partial<ServeIo>;
}

function call({ plugin: overrides = {}, environment = {}, conf = {}, io = {} }: Setup) {
  const { plugin, calls } = pluginOf(overrides);
  const out = { stdout: '', stderr: '' };
  const status = serve(plugin, {
    environment: { ...ENVIRONMENT, ...environment },
    readStdin: () => (typeof conf === 'string' ? conf : JSON.stringify({ ...CONF, ...(conf as object) })),
    writeStdout: (text) => {
      out.stdout += text;
    },
    writeStderr: (text) => {
      out.stderr += text;
    },
    checkNetns: () => {},
    ...io,
  });
  return { status, ...out, calls, json: out.stdout === '' ? undefined : JSON.parse(out.stdout) };
}

const namespaceFails = (code: string) => ({
  checkNetns: () => {
    throw new NetloomError(code, `it is ${code}`);
  },
});

test('without CNI_COMMAND a person reads what this is, on stderr', (t) => {
  const { status, stdout, stderr, calls } = call({ environment: { CNI_COMMAND: undefined } });
  t.is(status, 0);
  t.is(stdout, '');
  t.is(
    stderr,
    'CNI test plugin of netloom: notes its calls\n' +
      'CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n',
  );
  t.is(calls.length, 0);
});

test('VERSION answers without reading stdin', (t) => {
  const readStdin = () => {
    throw new Error('stdin was read');
  };
  const { status, json } = call({ environment: { CNI_COMMAND: 'VERSION', CNI_PATH: '' }, io: { readStdin } });
  t.is(status, 0);
  t.deepEqual(json, {
    cniVersion: '1.1.0',
    supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  });
});

test('ADD prints the result in the version of the configuration', (t) => {
  t.deepEqual(call({}).json, {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0' }],
    ips: [{ address: '10.0.0.2/24' }],
  });
  t.deepEqual(call({ conf: { cniVersion: '0.4.0' } }).json, {
    cniVersion: '0.4.0',
    interfaces: [{ name: 'eth0' }],
    ips: [{ version: '4', address: '10.0.0.2/24' }],
  });
  t.deepEqual(call({ conf: '{"name": "net"}' }).json, { cniVersion: '0.1.0', ip4: { ip: '10.0.0.2/24' } });
});

test('the plugin gets the whole call', (t) => {
  const { calls } = call({ conf: { mtu: 1400 }, environment: { CNI_ARGS: 'A=B', NETLOOM_ROOT: '/r' } });
  const [one] = calls;
  t.is(one?.command, 'ADD');
  t.is(one?.containerId, 'c1');
  t.is(one?.netns, '/run/netns/c1');
  t.is(one?.ifname, 'eth0');
  t.is(one?.args, 'A=B');
  t.deepEqual(one?.path, ['/opt/cni/bin']);
  t.is(one?.conf.mtu, 1400);
  t.is(one?.stdin, JSON.stringify({ ...CONF, mtu: 1400 }));
  t.is(one?.paths.leases, '/r/var/lib/cni/networks');
  t.is(one?.environment['CNI_ARGS'], 'A=B');
});

for (const [command, conf] of [
  ['DEL', {}],
  ['CHECK', { prevResult: {} }],
  ['GC', { 'cni.dev/valid-attachments': [] }],
  ['STATUS', {}],
] as const) {
  test(`${command} prints nothing`, (t) => {
    const { status, stdout, stderr, calls } = call({ environment: { CNI_COMMAND: command }, conf });
    t.is(status, 0);
    t.is(stdout + stderr, '');
    t.deepEqual(
      calls.map((one) => one.command),
      [command],
    );
  });
}

const REFUSED: Record<string, [setup: Setup, code: number, msg: string]> = {
  'an empty environment': [
    { environment: { CNI_CONTAINERID: '', CNI_IFNAME: '' }, conf: 'not JSON' },
    4,
    'required env variables [CNI_CONTAINERID,CNI_IFNAME] missing',
  ],
  'no stdin': [{ conf: '' }, 6, 'error unmarshall network config: unexpected end of JSON input'],
  'no name': [{ conf: { name: '', cniVersion: '9.9.9' } }, 7, 'missing network name'],
  'an unknown version': [{ conf: { cniVersion: '9.9.9', mtu: 'x' } }, 1, 'incompatible CNI versions'],
  'a wrong type': [
    { conf: { mtu: 'x' }, io: namespaceFails('no-namespace') },
    7,
    'failed to load netconf: "mtu" is "x", expected a whole number from 0 to 65535',
  ],
  'CHECK before 0.4.0': [
    { environment: { CNI_COMMAND: 'CHECK' }, conf: { cniVersion: '0.3.1' } },
    1,
    'config version does not allow CHECK',
  ],
  'GC before 1.1.0': [
    { environment: { CNI_COMMAND: 'GC' }, conf: { cniVersion: '1.0.0' } },
    1,
    'config version does not allow GC',
  ],
  'STATUS before 1.1.0': [
    { environment: { CNI_COMMAND: 'STATUS' }, conf: { cniVersion: '1.0.0' } },
    1,
    'config version does not allow STATUS',
  ],
  'GC without a list': [
    { environment: { CNI_COMMAND: 'GC' } },
    7,
    'failed to load netconf: "cni.dev/valid-attachments" is missing, GC would delete every attachment',
  ],
  'a namespace that is missing': [{ io: namespaceFails('no-namespace') }, 8, 'it is no-namespace'],
  'a file that is no namespace': [{ io: namespaceFails('not-a-namespace') }, 8, 'it is not-a-namespace'],
  'the own namespace': [{ io: namespaceFails('own-namespace') }, 8, 'it is own-namespace'],
};

for (const [name, [setup, code, msg]] of Object.entries(REFUSED)) {
  test(`refused before the plugin runs: ${name}`, (t) => {
    const { status, json, calls } = call(setup);
    t.is(status, 1);
    t.is(json.code, code);
    t.is(json.msg, msg);
    t.is(calls.length, 0);
  });
}

test('an error object has the version of the configuration', (t) => {
  t.is(call({ conf: { cniVersion: '0.4.0', mtu: 'x' } }).json.cniVersion, '0.4.0');
  t.is(call({ conf: { cniVersion: '9.9.9' } }).json.cniVersion, '1.1.0');
});

test('CNI_NETNS_OVERRIDE lets the own namespace pass, but not a missing one', (t) => {
  const environment = { CNI_NETNS_OVERRIDE: 'true' };
  t.is(call({ environment, io: namespaceFails('own-namespace') }).status, 0);
  t.is(call({ environment, io: namespaceFails('no-namespace') }).status, 1);
});

test('a plugin that may be called in any namespace is not asked about it', (t) => {
  t.is(call({ plugin: { netns: 'any' }, io: namespaceFails('no-namespace') }).status, 0);
});

for (const code of ['no-namespace', 'not-a-namespace', 'own-namespace']) {
  test(`DEL goes on without the namespace: ${code}`, (t) => {
    const { status, calls } = call({ environment: { CNI_COMMAND: 'DEL' }, io: namespaceFails(code) });
    t.is(status, 0);
    t.is(calls[0]?.netns, '');
  });
}

test("the plugin's error becomes an error object", (t) => {
  const add = () => {
    throw new NetloomError('address-exhausted', 'No address is left');
  };
  const { status, json, stderr } = call({ plugin: { add } });
  t.is(status, 1);
  t.deepEqual(json, { cniVersion: '1.1.0', code: 101, msg: 'No address is left' });
  t.is(stderr, '');
});

test("a delegated plugin's error object passes through", (t) => {
  const add = () => {
    throw foreignError(42, 'theirs', 'their details');
  };
  t.deepEqual(call({ plugin: { add } }).json, {
    cniVersion: '1.1.0',
    code: 42,
    msg: 'theirs',
    details: 'their details',
  });
});

test('a fault of ours is an error object too; its stack goes to stderr only', (t) => {
  const add = () => {
    throw new TypeError('x is undefined');
  };
  const { status, json, stdout, stderr } = call({ plugin: { add } });
  t.is(status, 1);
  t.is(json.code, 999);
  t.notRegex(stdout, /\bat \b/);
  t.regex(stderr, /TypeError: x is undefined\n\s+at /);
});

test('a stdin that cannot be read has code 5', (t) => {
  const readStdin = () => {
    throw new NetloomError('EIO', 'Cannot read stdin');
  };
  const { json } = call({ io: { readStdin } });
  t.is(json.code, 5);
  t.is(json.msg, 'error reading from stdin: Cannot read stdin');
});

test('an ADD whose result has no form in the version asked for is undone', (t) => {
  const plugin = { add: (): CniResult => ({ interfaces: [{ name: 'eth0' }] }) };
  const { status, json, calls } = call({ plugin, conf: { cniVersion: '0.2.0' } });
  t.is(status, 1);
  t.is(json.msg, 'cannot convert: no valid IP addresses');
  t.deepEqual(
    calls.map((one) => one.command),
    ['DEL'],
  );
});

test('an ADD whose result cannot be written is undone, and stderr says so', (t) => {
  const writeStdout = () => {
    throw new NetloomError('ENOSPC', 'Cannot write stdout: ENOSPC, no space left on the device');
  };
  const { status, stderr, calls } = call({ io: { writeStdout } });
  t.is(status, 1);
  t.deepEqual(
    calls.map((one) => one.command),
    ['ADD', 'DEL'],
  );
  t.regex(stderr, /^test: Cannot write stdout: ENOSPC/);
});

test('a warning goes to stderr, or to the logFile', (t) => {
  const plugin: Partial<Plugin<TestConf>> = { del: (one) => one.warn('careful') };
  const environment = { CNI_COMMAND: 'DEL' };
  t.is(call({ plugin, environment }).stderr, 'test: careful\n');

  const directory = mkdtempSync(join(tmpdir(), 'netloom-'));
  try {
    const logFile = join(directory, 'log');
    t.is(call({ plugin, environment, conf: { logFile } }).stderr, '');
    t.is(call({ plugin, environment, conf: { logFile } }).stderr, '');
    t.regex(readFileSync(logFile, 'utf8'), /^(\d{4}-\S+Z test: careful\n){2}$/);
    const elsewhere = join(directory, 'missing/log');
    t.regex(
      call({ plugin, environment, conf: { logFile: elsewhere } }).stderr,
      /^test: careful\n\(Cannot open .*ENOENT/,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
