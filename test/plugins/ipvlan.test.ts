/** ipvlan as a container runtime executes it. */
import test from 'ava';
import { needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import type { Json } from '../support/lab.ts';
import { Limit } from '../support/limit.ts';
import { eth0, ipam, labWithMaster, linkContract, run } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'ipvlan', master: 'm0', ipam };
const withIpvlan = needs('ipvlan');

linkContract({
  type: 'ipvlan',
  needs: 'ipvlan',
  conf,
  hangs: true,
  another: conf,
  other: [{ mode: 'l3' }, /"eth0" in the container has the ipvlan mode l2, expected l3/],
});

withIpvlan('l2: containers reach each other and the LAN by both families, with the gateway of IPAM', (t) => {
  const { lab, lan } = labWithMaster(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
  const result = lab.add({ ...conf, ipam: { ...ipam, routes } }, { sandbox: one });
  lab.add(conf, { sandbox: two });
  t.is(eth0(one)?.linkinfo?.info_data?.['mode'], 'l2');
  t.deepEqual(
    result.ips?.map(({ gateway }) => gateway),
    ['10.1.0.1', 'fd00::1'],
  );
  t.is(one.ip('route', 'show', 'default')[0]?.['gateway'], '10.1.0.1');
  t.is(one.ip('-6', 'route', 'show', 'default')[0]?.['gateway'], 'fd00::1');
  t.deepEqual(two.ip('route', 'show', 'default'), []);
  for (const address of ['10.1.0.3', 'fd00::3', '10.1.0.1', 'fd00::1']) t.true(one.reaches(address), address);
  for (const address of ['10.1.0.2', 'fd00::2']) t.true(lan.reaches(address), address);
});

for (const mode of ['l3', 'l3s']) {
  withIpvlan(
    `${mode}: an on-link default route of each family, by which containers of other subnets are reached`,
    (t) => {
      const { lab } = labWithMaster(t);
      const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
      const of = (...subnets: string[]) => ({
        ...conf,
        mode,
        ipam: { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) },
      });
      const result = lab.add(of('10.1.0.0/24', 'fd01::/64'), { sandbox: one });
      lab.add({ ...of('10.2.0.0/24', 'fd02::/64'), name: 'other' }, { sandbox: two });
      t.is(eth0(one)?.linkinfo?.info_data?.['mode'], mode);
      t.deepEqual(result.routes, [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]);
      t.deepEqual(
        result.ips?.map(({ gateway }) => gateway),
        [undefined, undefined],
      );
      for (const family of ['-4', '-6']) {
        const [route, ...more] = one.ip(family, 'route', 'show', 'default');
        t.is(route?.['dev'], 'eth0');
        t.is(route?.['gateway'], undefined);
        t.deepEqual(more, []);
      }
      for (const address of ['10.2.0.2', 'fd02::2']) t.true(one.reaches(address), address);
      lab.check(of('10.1.0.0/24', 'fd01::/64'), { sandbox: one }, result);
    },
  );

  withIpvlan(`${mode}: the default route of another network of the container stays the only one`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    sandbox.run('ip', 'link', 'add', 'first', 'type', 'bridge');
    sandbox.run('ip', 'link', 'set', 'first', 'up');
    sandbox.run('ip', 'route', 'add', 'default', 'dev', 'first');
    const result = lab.add({ ...conf, mode }, { sandbox });
    t.deepEqual(result.routes, [{ dst: '::/0' }]);
    t.deepEqual(
      sandbox.ip('route', 'show', 'default').map(({ dev }) => dev),
      ['first'],
    );
  });
}

withIpvlan('with no master and a result of the plugins before, it hangs on their only interface', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  const { master: _, ipam: __, ...plain } = conf;
  const ips = [{ address: '10.1.0.44/24', gateway: '10.1.0.1' }];
  const of = (...interfaces: Json[]) => ({ ...plain, prevResult: { cniVersion: '1.1.0', interfaces, ips } });
  const { output } = lab.exec('ADD', of({ name: 'm0' }, { name: 'other' }), { sandbox });
  t.is(output.code, 7);
  t.is(output.msg, 'chained master failure. PrevResult lacks a single named interface');
  const result = lab.add(of({ name: 'm0' }), { sandbox });
  t.deepEqual(result.ips, [{ interface: 0, address: '10.1.0.44/24', gateway: '10.1.0.1' }]);
  t.true(sandbox.reaches('10.1.0.1'));
  t.notRegex(lab.snapshot(), /host-local|10\.1\.0\.44/); // no lease: another plugin assigned the addresses
});

needs(
  'ipvlan',
  'vlan',
  'macvlan',
)('masters that are VLAN and macvlan links', (t) => {
  const { lab } = labWithMaster(t);
  run('link', 'add', 'link', 'm0', 'name', 'm0.7', 'type', 'vlan', 'id', '7');
  run('link', 'add', 'upper', 'link', 'm0', 'type', 'macvlan', 'mode', 'bridge');
  for (const name of ['m0.7', 'upper']) {
    run('link', 'set', name, 'up');
    const [one, two] = [lab.sandbox(`${name}a`), lab.sandbox(`${name}b`)];
    const result = lab.add({ ...conf, master: name }, { sandbox: one });
    const other = lab.add({ ...conf, master: name }, { sandbox: two });
    t.true(one.reaches(`${other.ips?.[0]?.address}`.replace('/24', '')), name);
    lab.check({ ...conf, master: name }, { sandbox: one }, result);
    for (const sandbox of [one, two]) lab.del(conf, { sandbox });
  }
});

needs('ipvlan', 'macvlan')('a master that has macvlan links takes none of ipvlan, and the sentence says so', (t) => {
  const { lab } = labWithMaster(t);
  lab.add({ ...conf, type: 'macvlan' }, { sandbox: lab.sandbox('c1') });
  const before = lab.snapshot();
  const { output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c2') });
  t.is(output.code, 111);
  t.regex(output.msg ?? '', /"m0" is taken by links of another kind, such as those of macvlan/);
  t.is(lab.snapshot(), before);
});

withIpvlan('neighbours learn at once that an address has moved to a new link', (t) => {
  const { lab, lan } = labWithMaster(t);
  const stranger = '02:00:00:00:00:99';
  lan.run('ip', 'neigh', 'add', '10.1.0.2', 'lladdr', stranger, 'nud', 'stale', 'dev', 'eth0');
  const { interfaces = [] } = lab.add(conf, { sandbox: lab.sandbox('c1') });
  const believed = () =>
    lan.ip<{ dst: string; lladdr?: string }>('neigh').find(({ dst }) => dst === '10.1.0.2')?.lladdr;
  const limit = new Limit(60);
  while (believed() !== interfaces[0]?.mac && !limit.isOver());
  t.is(believed(), interfaces[0]?.mac);
});

test.serial('what it cannot do is refused before any change', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  for (const command of ['ADD', 'STATUS']) {
    const { output } = lab.exec(command, { ...conf, mode: 'bridge' }, { sandbox });
    t.is(output.code, 7);
    t.is(output.msg, 'unknown ipvlan mode: "bridge", expected one of l2, l3, l3s');
  }
  const { ipam: _, ...plain } = conf;
  t.regex(lab.exec('ADD', plain, { sandbox }).output.msg ?? '', /"ipam" is missing, and so is a "prevResult"/);
  t.is(lab.snapshot(), before);
});

withIpvlan('STATUS of one that is chained, which comes without a prevResult, asks for what is known of it', (t) => {
  const { lab } = labWithMaster(t);
  const { ipam: _, master: __, ...chained } = conf;
  t.is(lab.exec('STATUS', chained).status, 0);
  t.is(lab.exec('STATUS', { ...chained, master: 'm0' }).status, 0);
  t.is(lab.exec('STATUS', { ...chained, master: 'gone' }).output.code, 50);
});
