/**
 * podman's own networks with published ports: its default network, and one made by `podman network create`. All plugins
 * are from `dist/bin`: the chain bridge, portmap, firewall, tuning. Also a conflist that limits the bandwidth.
 */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../support/until.ts';
import { addressOf } from './contract.ts';
import { Machine } from './machine.ts';
import { type Podman, podman } from './podman.ts';

const HELLO = 'hello from the other container';
/** The host's address on the wire to a namespace that plays another machine. */
const UPLINK = '203.0.113.1';

let machine: Machine;
let runtime: Podman;

test.before(async () => {
  machine = await Machine.start();
  runtime = podman(machine, 'podman');
  machine.run('ip', 'netns', 'add', 'outside');
  machine.run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside');
  machine.run('ip', 'addr', 'add', `${UPLINK}/30`, 'dev', 'uplink');
  machine.run('ip', 'link', 'set', 'uplink', 'up');
  machine.run('ip', '-n', 'outside', 'addr', 'add', '203.0.113.2/30', 'dev', 'eth0');
  machine.run('ip', '-n', 'outside', 'link', 'set', 'eth0', 'up');
});

/** Starts a container that keeps running, with options of `podman run`. */
function start(network: string, options: readonly string[], ...command: string[]) {
  const args = ['run', '--detach', ...options, `--network=${network}`, '--rootfs', machine.rootfs, ...command];
  const id = runtime.command(...args).trim();
  return {
    exec: (...inside: string[]) => runtime.command('exec', id, ...inside),
    remove: () => void runtime.command('rm', '--force', '--time=0', id),
  };
}

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

test.serial('podman network create writes a chain of plugins that are all here', (t) => {
  runtime.command('network', 'create', '--subnet=10.87.0.0/24', 'web');
  const { plugins } = JSON.parse(readFileSync('/etc/cni/net.d/web.conflist', 'utf8')) as {
    plugins: { type: string }[];
  };
  t.deepEqual(
    plugins.map(({ type }) => type),
    ['bridge', 'portmap', 'firewall', 'tuning'],
  );
  const here = readdirSync('/opt/cni/bin');
  for (const { type } of plugins) t.true(here.includes(type), type);
});

for (const { network, prefix, gateway } of [
  { network: 'podman', prefix: '10.88.', gateway: '10.88.0.1' },
  { network: 'web', prefix: '10.87.0.', gateway: '10.87.0.1' },
]) {
  test.serial(
    `${network}: a published port is reached from the host, another container, itself and another machine`,
    async (t) => {
      const serve = () => start(network, ['--publish=18080:80'], '/bin/httpd', '-f', '-p', '80', '-h', '/www');
      const client = start(network, [], '/bin/sleep', '1000');
      const before = machine.state();
      let server = serve();
      const fetched =
        (...by: string[]) =>
        (url: string) =>
          machine.run(...(by as [string]), 'busybox', 'wget', '-q', '-O', '-', url);
      const onHost = fetched('env');
      const outside = fetched('ip', 'netns', 'exec', 'outside');
      const inside = (url: string) => client.exec('/bin/wget', '-q', '-O', '-', url);
      try {
        const address = addressOf(server.exec('/bin/ip', 'addr'), prefix);
        await until('the server answers', () => onHost(`http://${address}/`) === HELLO);
        for (const host of ['127.0.0.1', gateway, UPLINK])
          t.is(onHost(`http://${host}:18080/`), HELLO, `the host by ${host}`);
        t.is(inside(`http://${address}/`), HELLO);
        for (const host of [gateway, UPLINK]) t.is(inside(`http://${host}:18080/`), HELLO, `a container by ${host}`);
        t.is(server.exec('/bin/wget', '-q', '-O', '-', `http://${gateway}:18080/`), HELLO, 'itself');
        t.is(outside(`http://${UPLINK}:18080/`), HELLO);
        t.throws(() => outside(`http://${UPLINK}:18081/`));
        // A new server on the same port gets the traffic at once.
        server.remove();
        t.throws(() => outside(`http://${UPLINK}:18080/`));
        t.deepEqual(machine.state(), before);
        server = serve();
        await until('the next one answers', () => outside(`http://${UPLINK}:18080/`) === HELLO);
        // A container reaches the other machine, with the host's address as its source.
        t.regex(client.exec('/bin/ping', '-c', '1', '-W', '5', '203.0.113.2'), / 0% packet loss/);
      } finally {
        server.remove();
        client.remove();
      }
    },
  );
}

test.serial('a conflist with bandwidth: the rates measured are within 10 percent', async (t) => {
  t.timeout(240_000);
  const [rate, burst, size] = [20_000_000, 400_000, 10 << 20];
  const file = new URL('../../cni-conf/70-bandwidth.conflist', import.meta.url);
  const conflist = JSON.parse(readFileSync(file, 'utf8')) as { name: string; plugins: Record<string, unknown>[] };
  Object.assign(conflist.plugins[1] ?? {}, {
    ingressRate: rate,
    ingressBurst: burst,
    egressRate: rate,
    egressBurst: burst,
  });
  writeFileSync('/etc/cni/net.d/70-bandwidth.conflist', JSON.stringify(conflist));
  const big = join(machine.rootfs, 'www/big');
  writeFileSync(big, '');
  truncateSync(big, size);
  const container = await podman(machine, conflist.name).start('/bin/httpd', '-f', '-p', '80', '-h', '/www');
  const pidFile = join(machine.root, 'httpd.pid');
  const serve = `echo $$ > ${pidFile}; exec busybox httpd -f -p 10.86.13.1:8000 -h ${machine.rootfs}/www`;
  const host = machine.start('sh', '-c', serve);
  try {
    const address = addressOf(await container.exec('/bin/ip', 'addr'), '10.86.13.');
    const timed = (url: string) =>
      `read a rest < /proc/uptime; busybox wget -q -O /dev/null ${url} && read b rest < /proc/uptime; echo $a $b`;
    const rateOf = (uptimes: string) => {
      const [begin = 0, end = 0] = uptimes.trim().split(' ').map(Number);
      return end > begin ? (size * 8 - burst) / (end - begin) : 0; // the server does not answer yet
    };
    for (const [title, run] of [
      ['sent', () => machine.run('sh', '-c', timed(`http://${address}/big`))],
      [
        'received',
        () => container.exec('/bin/sh', '-c', timed('http://10.86.13.1:8000/big').replace('busybox', '/bin/busybox')),
      ],
    ] as const) {
      const rates: number[] = [];
      // A busy machine may give less than the rate, but never more.
      for (let i = 0; i < 6 && !rates.some((each) => each >= 0.9 * rate); i++) rates.push(rateOf(await run()));
      t.log(`${title}: ${rates.map((each) => (each / 1e6).toFixed(2)).join(', ')} Mbit/s of ${rate / 1e6}`);
      t.true(Math.max(...rates) <= 1.1 * rate && Math.max(...rates) >= 0.9 * rate, `${title}: ${rates}`);
    }
  } finally {
    await container.remove();
    machine.run('kill', readFileSync(pidFile, 'utf8').trim());
    await host;
  }
  t.deepEqual(
    machine.state().links.filter((name) => name.startsWith('ifb')),
    [],
  );
});
