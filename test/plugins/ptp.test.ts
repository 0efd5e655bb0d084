/** ptp as a container runtime executes it. reference.test.ts compares its routes with those of the reference plugin. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { becomeHost, ip } from '../support/host.ts';
import { bridgeConf, Lab, type Output, WITHOUT_NETLINK } from '../support/lab.ts';

becomeHost();

const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]], routes };
const conf = bridgeConf({ type: 'ptp', ipMasq: true, ipam });
const hostEnd = (result: Output) => result.interfaces?.[0]?.name ?? '';
const run = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

test.serial('containers reach each other, the host and the gateway, each by its own wire', (t) => {
  const lab = new Lab(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const before = lab.snapshot();
  const result = lab.add(conf, { sandbox: one });
  t.deepEqual(result.ips, [
    { interface: 1, address: '10.1.0.2/24', gateway: '10.1.0.1' },
    { interface: 1, address: 'fd00::2/64', gateway: 'fd00::1' },
  ]);
  t.is(result.interfaces?.[1]?.sandbox, one.path);
  lab.add(conf, { sandbox: two });
  for (const address of ['10.1.0.1', '10.1.0.3', 'fd00::1', 'fd00::3']) t.true(one.reaches(address), address);
  for (const address of ['10.1.0.3', 'fd00::3']) execFileSync('ping', ['-c', '1', '-w', '10', address]);
  lab.check(conf, { sandbox: one }, result);
  for (const sandbox of [one, two]) lab.del(conf, { sandbox });
  t.is(lab.snapshot(), before);
});

for (const [title, make, says] of [
  [
    'the route on the host removed',
    () => run('route', 'del', '10.1.0.2'),
    /the route to 10.1.0.2 on the host is missing/,
  ],
  [
    'the gateway removed from the host end',
    (end: string) => run('addr', 'del', '10.1.0.1/32', 'dev', end),
    /lacks the gateway's address 10.1.0.1/,
  ],
  ['the host end down', (end: string) => run('link', 'set', end, 'down'), /"veth\w+" on the host is down/],
  [
    'the host end with another MAC',
    (end: string) => run('link', 'set', end, 'address', '02:00:00:00:00:99'),
    /on the host has the MAC 02:00:00:00:00:99/,
  ],
  ['the masquerading gone', () => execFileSync('nft', ['flush', 'ruleset']), /the address 10.1.0.2 is not masqueraded/],
] as const) {
  test.serial(`CHECK names the difference: ${title}`, (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const prevResult = lab.add(conf, { sandbox });
    make(hostEnd(prevResult));
    const { output } = lab.exec('CHECK', { ...conf, prevResult }, { sandbox });
    t.is(output.code, 110);
    t.regex(output.msg ?? '', says);
    lab.del({ ...conf, prevResult }, { sandbox });
    t.notRegex(lab.snapshot(), /c1[/\r]/);
  });
}

test.serial('mtu and dns are those of the configuration', (t) => {
  const lab = new Lab(t);
  const dns = { nameservers: ['10.1.0.53'] };
  const result = lab.add({ ...conf, mtu: 1400, dns }, { sandbox: lab.sandbox('c1') });
  t.deepEqual(
    result.interfaces?.map(({ mtu }) => mtu),
    [1400, 1400],
  );
  t.deepEqual(result.dns, dns);
  t.is(ip<{ mtu: number }>('link', 'show', hostEnd(result))[0]?.mtu, 1400);
});

test.serial(
  'a second ADD fails and leaves the first one whole; DEL twice succeeds twice; without the namespace too',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const empty = lab.snapshot();
    lab.add(conf, { sandbox });
    const before = lab.snapshot();
    t.is(lab.exec('ADD', conf, { sandbox }).output.code, 111);
    t.is(lab.exec('ADD', conf, { sandbox: lab.sandbox('other'), containerId: 'c1' }).output.code, 103);
    t.is(lab.snapshot(), before);
    lab.del(conf, { sandbox, netns: '' });
    t.is(lab.snapshot(), empty);
    lab.del(conf, { sandbox });
    t.is(lab.snapshot(), empty);
  },
);

test.serial('GC removes exactly what is not listed', (t) => {
  const lab = new Lab(t);
  const keep = { sandbox: lab.sandbox('keep') };
  const kept = lab.add(conf, keep);
  const before = lab.snapshot();
  for (const name of ['a', 'b']) lab.add(conf, { sandbox: lab.sandbox(name) });
  lab.gc(conf, [{ containerID: 'keep', ifname: 'eth0' }]);
  t.is(lab.snapshot(), before);
  lab.check(conf, keep, kept);
});

test.serial('STATUS says so where nf_tables is missing and addresses are to be masqueraded', (t) => {
  const lab = new Lab(t);
  const { output } = lab.exec('STATUS', { ...conf, ipMasq: true }, {}, { wrap: WITHOUT_NETLINK });
  t.is(output.code, 50);
  t.is(output.msg, 'Cannot masquerade: the kernel has no nf_tables (CONFIG_NF_TABLES)');
  t.is(lab.exec('STATUS', { ...conf, ipMasq: true }).status, 0);
});

test.serial('it needs IPAM, with a gateway, and says so', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  for (const command of ['ADD', 'STATUS']) {
    const { output } = lab.exec(command, { ...conf, ipam: {} }, { sandbox });
    t.is(output.code, 7);
    t.regex(output.msg ?? '', /"ipam" is missing/);
  }
  const { output } = lab.exec(
    'ADD',
    { ...conf, ipam: { type: 'static', addresses: [{ address: '10.1.0.5/24' }] } },
    { sandbox },
  );
  t.is(output.code, 109);
  t.regex(output.msg ?? '', /10.1.0.5\/24 without a gateway/);
  t.is(lab.snapshot(), before);
});
