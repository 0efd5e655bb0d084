/** The chain that `podman network create` writes, and podman on a conflist that limits the bandwidth, on `dist/bin` alone. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { addressOf } from './contract.ts';
import { Machine } from './machine.ts';
import { type Podman, podman } from './podman.ts';

let machine: Machine;
let runtime: Podman;

test.before(async () => {
  machine = await Machine.start();
  runtime = podman(machine, 'podman');
});

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
    const address = addressOf(container.exec('/bin/ip', 'addr'), '10.86.13.');
    const timed = (url: string) =>
      `read a rest < /proc/uptime; busybox wget -q -O /dev/null ${url} && read b rest < /proc/uptime; echo $a $b`;
    const rateOf = (uptimes: string) => {
      const [begin = 0, end = 0] = uptimes.trim().split(' ').map(Number);
      return end > begin ? (size * 8 - burst) / (end - begin) : 0; // nobody answered yet
    };
    for (const [title, run] of [
      ['sent', () => machine.run('sh', '-c', timed(`http://${address}/big`))],
      [
        'received',
        () => container.exec('/bin/sh', '-c', timed('http://10.86.13.1:8000/big').replace('busybox', '/bin/busybox')),
      ],
    ] as const) {
      const rates: number[] = [];
      // A machine that is busy may give it less than it may have, but never more.
      for (let i = 0; i < 6 && !rates.some((each) => each >= 0.9 * rate); i++) rates.push(rateOf(run()));
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
