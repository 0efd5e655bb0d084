/** What a pod gets in addition to contract.ts, with a chain of all plugins that Kubernetes needs. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { NETLOOM } from '../support/command.ts';
import { until } from '../support/until.ts';
import type { Kubelet } from './kubelet.ts';
import type { Machine } from './machine.ts';
import { holds, listens } from './prints.ts';

export interface PodSetting {
  readonly machine: Machine;
  readonly runtime: Kubelet;
}

export const BRIDGE = 'pods0';
export const SUBNETS = [
  { prefix: '10.86.1.', gateway: '10.86.1.1' },
  { prefix: 'fd86:1::', gateway: 'fd86:1::1' },
];

const CONFLIST = '/etc/cni/net.d/10-pods.conflist';
const NETWORK = {
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: BRIDGE,
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      capabilities: { dns: true, ipRanges: true, 'io.kubernetes.cri.pod-annotations': true },
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.86.1.0/24' }], [{ subnet: 'fd86:1::/64' }]],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall' },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
    { type: 'tuning', sysctl: { 'net.core.somaxconn': '513' } },
  ],
};
/** The plugins that a pod's ADD and DEL call. */
export const TYPES = ['loopback', ...NETWORK.plugins.map(({ type }) => type)];

const HELLO = 'hello from the other container';
const SERVER = ['/bin/httpd', '-f', '-p', '80', '-h', '/www'];

/** Register it first: it configures the network. */
export function ready(test: TestFn, setting: () => PodSetting): void {
  const condition = async () => {
    const { status } = await setting().runtime.cri('Status', {});
    return status.conditions.find(({ type }) => type === 'NetworkReady');
  };
  const becomes = (wanted: boolean) =>
    until(`the network is ready: ${wanted}`, async () => (await condition())?.status === wanted);

  // containerd calls no plugin's STATUS before 2.0. The network is ready once there is a readable conflist.
  test.serial(
    'the network is ready when there is a conflist, and not while there is none or one that cannot be read',
    async (t) => {
      t.like(await condition(), { status: false, reason: 'NetworkPluginNotReady' });
      writeFileSync(CONFLIST, JSON.stringify(NETWORK));
      await becomes(true);
      writeFileSync(CONFLIST, '{');
      await becomes(false);
      rmSync(CONFLIST);
      writeFileSync(CONFLIST, JSON.stringify(NETWORK));
      await becomes(true);
      t.pass();
    },
  );
}

export function pods(test: TestFn, setting: () => PodSetting): void {
  /** What a server answers on the host's port, to the host itself. */
  const published = (port: number, host = '127.0.0.1') =>
    setting().machine.run('busybox', 'wget', '-q', '-O', '-', `http://${host}:${port}/`);

  test.serial(
    'the status of a pod has the addresses that its interface has, and its sysctls are as tuning says',
    async (t) => {
      const { runtime } = setting();
      const pod = await runtime.runPod({ dns_config: { servers: ['192.0.2.53'], searches: ['cluster.local'] } });
      try {
        t.is(pod.addresses.length, 2);
        const shown = await pod.exec('/bin/ip', 'addr', 'show', 'eth0');
        for (const [i, { prefix }] of SUBNETS.entries()) {
          t.true(pod.addresses[i]?.startsWith(prefix), `${pod.addresses}`);
          t.true(shown.includes(` ${pod.addresses[i]}/`), shown);
        }
        t.is(await pod.exec('/bin/busybox', 'cat', '/proc/sys/net/core/somaxconn'), '513\n');
      } finally {
        await pod.remove();
      }
    },
  );

  test.serial('inspect knows a pod by its name, and by the beginning of its id', async (t) => {
    const { machine, runtime } = setting();
    const pod = await runtime.runPod();
    try {
      for (const word of [`default/${pod.name}`, `pod:default/${pod.name}`, pod.id.slice(0, 12)]) {
        const [path = ''] = machine.run(NETLOOM, 'inspect', word).split('\n');
        t.true(path.startsWith(`default/${pod.name}  eth0 ${pod.addresses[0]}/24 `), path);
        t.true(path.includes(` ─ ${BRIDGE} `), path);
      }
    } finally {
      await pod.remove();
    }
  });

  test.serial(
    'a host port leads to its pod, from the host and from another pod, and is free again when that has gone',
    async (t) => {
      const { machine, runtime } = setting();
      const before = machine.state();
      const ports = { port_mappings: [{ container_port: 80, host_port: 8080 }] };
      const server = await runtime.runPod(ports, SERVER);
      const client = await runtime.runPod();
      try {
        await listens(server, 80);
        t.is(published(8080), HELLO);
        for (const { gateway } of SUBNETS) {
          const host = gateway.includes(':') ? `[${gateway}]` : gateway;
          t.is(published(8080, host), HELLO);
          await holds(client, ['/bin/wget', '-q', '-O', '-', `http://${host}:8080/`], (output) => output === HELLO);
        }
        // If a pod is refused, containerd undoes what it got so far.
        const during = machine.state();
        const refused = await t.throwsAsync(runtime.runPod(ports, SERVER));
        t.regex(refused?.message ?? '', /failed to setup network for sandbox .*8080/);
        t.deepEqual(machine.state(), during);
      } finally {
        await client.remove();
        await server.remove();
      }
      t.deepEqual(machine.state(), before);
      const next = await runtime.runPod(ports, SERVER);
      await listens(next, 80);
      t.is(published(8080), HELLO);
      await next.remove();
      t.deepEqual(machine.state(), before);
    },
  );

  test.serial('the annotations for bandwidth limit what a pod receives and sends', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    const pod = await runtime.runPod({
      annotations: { 'kubernetes.io/ingress-bandwidth': '8M', 'kubernetes.io/egress-bandwidth': '4M' },
    });
    try {
      t.deepEqual(limits(machine), [
        { rate: 500_000, burst: 65_536 },
        { rate: 1_000_000, burst: 100_000 },
      ]);
    } finally {
      await pod.remove();
    }
    t.deepEqual(machine.state(), before);
  });

  test.serial('pods that come and go at once have addresses of their own, and leave nothing', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    const all = await Promise.all(Array.from({ length: 6 }, () => runtime.runPod()));
    t.is(new Set(all.flatMap(({ addresses }) => addresses)).size, 12);
    await Promise.all(all.map((pod) => pod.remove()));
    t.deepEqual(machine.state(), before);
  });

  test.serial('a pod goes on while containerd is killed and comes again, and is removed by the next one', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    const pod = await runtime.runPod({ port_mappings: [{ container_port: 80, host_port: 8080 }] }, SERVER);
    try {
      await listens(pod, 80);
      const running = machine.state();
      await runtime.restart();
      t.deepEqual(machine.state(), running);
      t.is(published(8080), HELLO);
      t.deepEqual(await runtime.addresses(pod.id), pod.addresses);
    } finally {
      await pod.remove();
    }
    t.deepEqual(machine.state(), before);
  });

  test.serial('a pod is stopped twice, as kubelet does, also one whose namespace has gone', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    const pinned = () => readdirSync('/run/netns').map((name) => join('/run/netns', name));
    for (const gone of [false, true]) {
      const pod = await runtime.runPod({ port_mappings: [{ container_port: 80, host_port: 8080 }] });
      if (gone) {
        // As after a reboot.
        await pod.kill();
        machine.run('umount', ...pinned());
        for (const path of pinned()) rmSync(path);
      }
      for (let i = 0; i < 2; i++) await runtime.cri('StopPodSandbox', { pod_sandbox_id: pod.id });
      t.deepEqual(machine.state(), before);
      await pod.remove();
      t.deepEqual(machine.state(), before);
    }
  });
}

/** All token buckets of the host; rates in bytes per second, bursts in bytes. */
function limits(machine: Machine): { readonly rate: number; readonly burst: number }[] {
  const disciplines = JSON.parse(machine.run('tc', '-j', 'qdisc')) as {
    readonly kind: string;
    readonly options: { readonly rate: number; readonly burst: number };
  }[];
  return disciplines
    .filter(({ kind }) => kind === 'tbf')
    .map(({ options: { rate, burst } }) => ({ rate, burst }))
    .sort((a, b) => a.rate - b.rate);
}
