/** A plugin as a process of its own, on both runtimes: what a container runtime sees of it. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { checkNetns } from '../../src/cni/netns.ts';

const ROOT = join(import.meta.dirname, '../..');
const RUNTIMES = {
  Bun: [join(ROOT, 'node_modules/.bin/bun'), '-e'],
  Node: [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e'],
} as const;

const SCRIPT = `
  import { confSchema } from '${ROOT}/src/cni/config.ts';
  import { serve } from '${ROOT}/src/cni/serve.ts';
  import { stdio } from '${ROOT}/src/cni/stdio.ts';
  const plugin = {
    type: 'test', about: 'tests', schema: confSchema({}),
    add: (call) => ({ interfaces: [{ name: call.ifname, sandbox: call.netns }] }),
    del: (call) => call.warn('del'), check() {}, gc() {}, status() {},
  };
  process.exit(serve(plugin, stdio(process.env)));
`;

const ENVIRONMENT = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/proc/self/ns/net',
  CNI_NETNS_OVERRIDE: '1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

const CONF = '{"cniVersion": "1.0.0", "name": "net", "type": "test"}';

for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
  const execute = (environment: Record<string, string>, input: string, stdout: number | 'pipe' = 'pipe') =>
    spawnSync(program, [...args, SCRIPT], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...ENVIRONMENT, ...environment },
      input,
      stdio: ['pipe', stdout, 'pipe'],
      encoding: 'utf8',
    });

  test(`${name}: the result comes on stdout`, (t) => {
    const { status, stdout, stderr } = execute({}, CONF);
    t.is(stderr, '');
    t.is(status, 0);
    t.deepEqual(JSON.parse(stdout), {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: '/proc/self/ns/net' }],
    });
  });

  test(`${name}: the own namespace is refused before anything is done`, (t) => {
    const { status, stdout } = execute({ CNI_NETNS_OVERRIDE: '' }, CONF);
    t.is(status, 1);
    t.is(JSON.parse(stdout).code, 8);
  });

  test(`${name}: no stdin is an error object`, (t) => {
    const { status, stdout } = execute({}, '');
    t.is(status, 1);
    t.is(JSON.parse(stdout).code, 6);
  });

  test(`${name}: on a full disk the ADD is undone and stderr tells why`, (t) => {
    const full = openSync('/dev/full', 'w');
    try {
      const { status, stderr } = execute({}, CONF, full);
      t.is(status, 1);
      t.is(stderr, 'test: del\ntest: Cannot write stdout: ENOSPC, no space left on the device\n');
    } finally {
      closeSync(full);
    }
  });
}

test('a namespace must be there, be one, and be another', (t) => {
  t.throws(() => checkNetns('/nowhere'), { code: 'no-namespace' });
  t.throws(() => checkNetns('/etc/passwd'), { code: 'not-a-namespace' });
  t.throws(() => checkNetns('/proc/self/ns/net'), { code: 'own-namespace' });
});
