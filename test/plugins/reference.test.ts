/**
 * The reference plugins and ours get the same configuration: results, addresses and routes must be the same, except for
 * random values and the names of the host's links. Debian's reference plugins are release 1.1.1, which supports
 * versions up to 1.0.0 and has no `mtu` in results.
 */
import test from 'ava';
import { becomeHost, ip } from '../support/host.ts';
import { BIN, type ExecOptions, type Json, Lab, type Output, REFERENCE } from '../support/lab.ts';

becomeHost();

const both: readonly ExecOptions[] = [{ bin: REFERENCE }, { bin: BIN }];

interface Case {
  readonly title: string;
  readonly conf: Json;
}

const ranges = (...subnets: string[]) => ({ type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) });
const routes = [{ dst: '0.0.0.0/0' }, { dst: '192.168.0.0/16', gw: '10.1.0.9' }];
const dual = ranges('10.1.0.0/24', 'fd00::/64');

const cases: readonly Case[] = [
  { title: 'bridge', conf: { type: 'bridge', ipam: ranges('10.1.0.0/24') } },
  { title: 'bridge as gateway', conf: { type: 'bridge', isGateway: true, ipam: { ...ranges('10.1.0.0/24'), routes } } },
  {
    title: 'bridge as default gateway',
    conf: { type: 'bridge', bridge: 'br7', isDefaultGateway: true, mtu: 1400, ipam: dual },
  },
  { title: 'bridge of layer 2', conf: { type: 'bridge', ipam: {} } },
  {
    title: 'bridge with dns',
    conf: { type: 'bridge', dns: { nameservers: ['10.1.0.1'], search: ['a.b'] }, ipam: ranges('10.1.0.0/24') },
  },
  {
    title: 'bridge with an asked-for address',
    conf: { type: 'bridge', isGateway: true, args: { cni: { ips: ['10.1.0.55'] } }, ipam: ranges('10.1.0.0/24') },
  },
  { title: 'ptp', conf: { type: 'ptp', ipam: ranges('10.1.0.0/24') } },
  {
    title: 'ptp with routes',
    conf: { type: 'ptp', mtu: 1400, ipam: { ...ranges('10.1.0.0/24'), routes: [{ dst: '0.0.0.0/0' }] } },
  },
  {
    title: 'ptp of both families',
    conf: { type: 'ptp', ipam: { ...dual, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] } },
  },
  { title: 'loopback', conf: { type: 'loopback' } },
];

for (const { title, conf } of cases) {
  for (const cniVersion of ['0.3.1', '1.0.0', ...('ipam' in conf && title !== 'bridge of layer 2' ? ['0.2.0'] : [])]) {
    test.serial(
      `${title}, version ${cniVersion}: the result, the addresses and the routes are those of the reference plugin`,
      (t) => {
        const [theirs, ours] = both.map((options) => {
          const lab = new Lab(t);
          const sandbox = lab.sandbox('c1');
          const ipam = conf['ipam'] as Json | undefined;
          const dataDir = `${lab.root}/leases`;
          const whole = {
            ...conf,
            cniVersion,
            name: 'net',
            ...(ipam && { ipam: ipam['type'] ? { ...ipam, dataDir } : ipam }),
          };
          const result = lab.add(whole, { sandbox }, options);
          const state = {
            result: normal(result),
            inContainer: [...sandbox.ip('route'), ...sandbox.ip('-6', 'route')].map(routeOf).sort(),
            onHost: [...ip('route'), ...ip('-6', 'route')].map(routeOf).sort(),
            containerAddresses: addresses(sandbox.ip('addr')),
            hostAddresses: addresses(ip('addr')),
            links: ip<{ mtu: number; linkinfo?: Json }>('link').map(({ mtu, linkinfo }) => [
              mtu,
              linkinfo?.['info_kind'],
            ]),
          };
          lab.del({ ...whole, ...(cniVersion >= '0.4.0' && { prevResult: result }) }, { sandbox }, options);
          for (const { ifname } of ip('link')) if (ifname !== 'lo') ip('link', 'del', String(ifname));
          return state;
        });
        t.deepEqual(ours, theirs);
      },
    );
  }
}

/** A result without random values, and without what later versions add. */
function normal(result: Output): unknown {
  const names = new Map((result.interfaces ?? []).map(({ name }) => [name, name.replace(/^veth[0-9a-f]+$/, 'veth…')]));
  return JSON.parse(
    JSON.stringify(result, (key, value) => {
      if (key === 'mtu') return undefined;
      // The reference loopback leaves it out, although versions before 1.0.0 have it.
      if (key === 'version') return undefined;
      if (key === 'mac') return value === '00:00:00:00:00:00' ? value : 'mac';
      if (key === 'sandbox') return 'sandbox';
      if (key === 'dns' && JSON.stringify(value) === '{}') return undefined;
      return names.get(value) ?? value;
    }),
  );
}

function routeOf(route: Json): string {
  const { dst, gateway, dev, scope, prefsrc, type, metric } = route;
  const link = String(dev).replace(/^veth[0-9a-f]+$/, 'veth…');
  return JSON.stringify({
    dst: String(dst).startsWith('fe80') ? 'fe80' : dst,
    gateway,
    link,
    scope,
    prefsrc,
    type,
    metric,
  });
}

function addresses(links: readonly Json[]): string[] {
  return links
    .flatMap(({ ifname, addr_info }) =>
      (addr_info as { local: string; prefixlen: number; scope: string; broadcast?: string }[])
        .filter(({ scope }) => scope !== 'link')
        .map(({ local, prefixlen, scope, broadcast }) =>
          [String(ifname).replace(/^veth.*/, 'veth…'), local, prefixlen, scope, broadcast].join(' '),
        ),
    )
    .sort();
}
