/** What container refuses: each case has its own message, and changes nothing. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, ip, mounts, type Sandbox } from '../../support/host.ts';
import { bridgeConf, type Json, Lab, type Target } from '../../support/lab.ts';
import { namespaceAt, sharing, startMain } from './sandboxes.ts';

becomeHost();

const HOST = { cniVersion: '1.1.0', name: 'outside', type: 'host' };
const OWN = '/proc/self/ns/net';

interface Refusal {
  readonly title: string;
  readonly conf?: Json;
  readonly target?: (lab: Lab, main: Sandbox, sidecar: Sandbox) => Target;
  readonly prepare?: (lab: Lab, main: Sandbox, sidecar: Sandbox) => void;
  readonly code: number;
  readonly says: RegExp;
}

const refusals: readonly Refusal[] = [
  { title: 'no target', conf: { container: undefined }, code: 7, says: /"container" is missing, expected the id/ },
  {
    title: 'two targets',
    conf: { netns: '/run/x' },
    code: 7,
    says: /"container" and "netns" are both set, expected one/,
  },
  { title: 'a target of a wrong type', conf: { container: 5 }, code: 7, says: /"container" is 5, expected a string/ },
  {
    title: 'a target that is no id',
    conf: { container: '../main' },
    code: 7,
    says: /"container" is "\.\.\/main", expected a container's id/,
  },
  {
    title: 'a path that is relative',
    conf: { container: undefined, netns: 'run/x' },
    code: 7,
    says: /"netns" is "run\/x", expected an absolute path/,
  },
  {
    title: 'arguments that are unknown',
    target: (_lab, _main, sandbox) => ({ sandbox, args: 'MAC=02:00:00:00:00:01' }),
    code: 4,
    says: /unknown args \["MAC=02:00:00:00:00:01"\], expected CONTAINER/,
  },
  { title: 'addresses', conf: { ipam: { type: 'host-local' } }, code: 2, says: /"container" makes no interface/ },
  {
    title: 'a container that is not there',
    conf: { container: 'unknown' },
    code: 121,
    says: /^Cannot share the network of the container "unknown": netloom has attached no container of that id/,
  },
  {
    title: 'a path with nothing there',
    conf: { container: undefined, netns: '/run/none' },
    code: 121,
    says: /^Cannot share the network of "\/run\/none": there is no such file/,
  },
  {
    title: 'a path with something else there',
    conf: { container: undefined, netns: '/etc/passwd' },
    code: 8,
    says: /"\/etc\/passwd" as a network namespace: it is something else/,
  },
  {
    title: 'a container whose namespace is gone',
    prepare: (_lab, main) => {
      execFileSync('umount', [main.path]);
      untilGone('veth');
    },
    code: 121,
    says: /the container "main": its network namespace ".*" is gone/,
  },
  {
    title: 'a container whose path another namespace has by now',
    prepare: (_lab, main) => execFileSync('unshare', ['--net', 'mount', '--bind', OWN, main.path]),
    code: 121,
    says: /the container "main": its network namespace ".*" is gone/,
  },
  {
    title: 'a container of two namespaces',
    prepare: (lab) =>
      lab.add({ cniVersion: '1.1.0', name: 'x', type: 'none' }, { sandbox: lab.sandbox('other'), containerId: 'main' }),
    code: 121,
    says: /the container "main": it is attached in two namespaces, .* say which as "netns"/,
  },
  {
    title: 'itself, by its id',
    conf: { container: 'sidecar' },
    code: 122,
    says: /the container "sidecar": it is the container itself/,
  },
  {
    title: 'itself, by its path',
    conf: { container: undefined },
    target: (_lab, _main, sandbox) => ({ sandbox }),
    code: 122,
    says: /it is the container itself/,
  },
  {
    title: 'a container in the network of the host',
    conf: { container: 'monitor' },
    prepare: (lab) => void lab.add(HOST, { containerId: 'monitor', netns: OWN }),
    code: 123,
    says: /the container "monitor": it is the host's, and the mode for that is "host"/,
  },
  {
    title: "the host's path",
    conf: { container: undefined, netns: OWN },
    code: 123,
    says: /"\/proc\/self\/ns\/net": it is the host's/,
  },
  {
    title: 'a namespace that has an interface',
    prepare: (_lab, _main, sidecar) =>
      void sidecar.run('ip', 'link', 'add', 'x0', 'type', 'veth', 'peer', 'name', 'x1'),
    code: 124,
    says: /it is a network namespace of its own, and it has interfaces already: "x1", "x0"/,
  },
];

for (const { title, conf = {}, target, prepare, code, says } of refusals) {
  test.serial(`refused: ${title}`, (t) => {
    const lab = new Lab(t);
    const { sandbox: main } = startMain(lab);
    const sidecar = lab.sandbox('sidecar');
    prepare?.(lab, main, sidecar);
    const byPath = title === 'itself, by its path' ? { netns: sidecar.path } : {};
    refused(
      t,
      lab,
      { ...sharing, ...conf, ...byPath },
      target?.(lab, main, sidecar) ?? { sandbox: sidecar },
      code,
      says,
    );
    lab.del(sharing, { sandbox: sidecar });
  });
}

test.serial('refused: a namespace with a process in it, and one that is not pinned', async (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  const child = spawn('nsenter', [`--net=${sidecar.path}`, 'sh', '-c', 'echo ready; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(child.stdout, 'data');
    refused(t, lab, sharing, { sandbox: sidecar }, 124, new RegExp(`process ${child.pid} is in it already`));
    const target = { containerId: 'sidecar', netns: `/proc/${child.pid}/ns/net` };
    refused(t, lab, sharing, target, 124, /it is not pinned by a mount of its own/);
  } finally {
    child.kill();
    await once(child, 'close');
  }
});

test.serial('a damaged record is set aside and named, and counts as none', (t) => {
  const lab = new Lab(t);
  startMain(lab);
  const sidecar = lab.sandbox('sidecar');
  const directory = `${lab.root}/run/netloom/attachments/main`;
  const names = readdirSync(directory);
  t.deepEqual(names.sort(), ['bridge:net:eth0', 'loopback:lo:lo']);
  for (const [i, damaged] of ['', '{"container": "main"'].entries()) writeFileSync(`${directory}/${names[i]}`, damaged);
  const { output, stderr } = lab.exec('ADD', sharing, { sandbox: sidecar });
  t.is(output.code, 121);
  for (const name of names) {
    t.true(
      stderr.includes(`"${directory}/${name}" cannot be read; it was set aside as "${directory}/damaged:${name}"`),
    );
  }
  t.deepEqual(readdirSync(directory).sort(), names.map((name) => `damaged:${name}`).sort());
  t.is(readFileSync(`${directory}/damaged:loopback:lo:lo`, 'utf8'), '{"container": "main"');
});

test.serial('what a killed process leaves half written is not read, and goes with the last record', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('main');
  const before = lab.snapshot();
  const directory = `${lab.root}/run/netloom/attachments/main`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/.4711.bridge:net:eth0`, '{"contai');
  lab.add(bridgeConf(), { sandbox });
  t.true(readdirSync(directory).includes('.4711.bridge:net:eth0'));
  lab.del(bridgeConf(), { sandbox });
  execFileSync('ip', ['link', 'del', 'cni0']);
  t.is(lab.snapshot(), before);
});

/**
 * Waits until no link of the kind is left. The kernel removes a namespace in the background, and with it the host's
 * ends of its wires.
 */
function untilGone(kind: string): void {
  while (ip('link', 'show', 'type', kind).some(({ ifname }) => ifname !== undefined)) {}
}

function refused(t: ExecutionContext, lab: Lab, conf: Json, target: Target, code: number, says: RegExp): void {
  const netns = target.netns ?? target.sandbox?.path ?? '';
  const state = () => [lab.snapshot(), mounts(), namespaceAt(netns)].join('\n');
  const before = state();
  const { output } = lab.exec('ADD', conf, target);
  t.is(output.code, code, output.msg);
  t.regex(output.msg ?? '', says);
  t.is(state(), before);
}
