/** vrf as a container runtime executes it, after bridge. The judge is `ip`. */
import test from 'ava';
import { isThere, needs } from '../support/features.ts';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, type Target } from '../support/lab.ts';

becomeHost();

const network = (n: number): Json =>
  bridgeConf({
    name: `net${n}`,
    bridge: `cni${n}`,
    ipam: { type: 'host-local', ranges: [[{ subnet: `10.${n}.0.0/24` }], [{ subnet: `fd0${n}::/64` }]] },
  });
const vrf = (more: Json = {}): Json => ({ cniVersion: '1.1.0', name: 'net1', type: 'vrf', vrfname: 'blue', ...more });

interface Container {
  readonly target: Target & { readonly sandbox: Sandbox };
  readonly prevResult: Output;
}

function attached(lab: Lab, sandbox: Sandbox, n = 1): Container {
  const target = { sandbox, ifname: `eth${n}` };
  return { target, prevResult: lab.add(network(n), target) };
}

/**
 * A route as `ip` prints it. IPv6 routes of several interfaces to one destination become one route with several next
 * hops.
 */
interface Route {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly type?: string;
  readonly nexthops?: readonly { readonly gateway: string; readonly dev: string }[];
}

const routes = (sandbox: Sandbox, ...where: string[]) =>
  [4, 6].flatMap((family) => {
    try {
      return sandbox
        .ip<Route>(`-${family}`, 'route', 'show', ...where)
        .flatMap((route) => route.nexthops?.map((hop) => ({ ...route, ...hop })) ?? [route])
        .filter(({ dst, type }) => !/^(fe80|multicast|ff00)/.test(dst) && (type ?? 'unicast') === 'unicast')
        .map(({ dst, gateway, dev }) => `${dst}${gateway ? ` via ${gateway}` : ''} dev ${dev}`);
    } catch {
      return []; // the table never existed
    }
  });
const vrfs = (sandbox: Sandbox) =>
  sandbox
    .ip<{ ifname: string; linkinfo?: { info_kind?: string; info_data?: { table?: number } } }>('link')
    .filter(({ linkinfo }) => linkinfo?.info_kind === 'vrf')
    .map(({ ifname, linkinfo }) => `${ifname} ${linkinfo?.info_data?.table}`);
const expected = (n: number) => [
  `default via 10.${n}.0.1 dev eth${n}`,
  `10.${n}.0.0/24 dev eth${n}`,
  `fd0${n}::/64 dev eth${n}`,
  `default via fd0${n}::1 dev eth${n}`,
];

needs('vrf')('the interface is in a VRF with the first free table, with its addresses and all of its routes', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const { target, prevResult } = attached(lab, sandbox);
  t.deepEqual(lab.add({ ...vrf(), prevResult }, target), prevResult);
  t.deepEqual(vrfs(sandbox), ['blue 1']);
  t.deepEqual(routes(sandbox, 'vrf', 'blue').sort(), expected(1).sort());
  t.deepEqual(routes(sandbox), []);
  lab.check(vrf(), target, prevResult);
  lab.check(network(1), target, prevResult);
  for (const address of ['10.1.0.1', 'fd01::1']) sandbox.run('ping', '-c', '1', '-W', '10', '-I', 'eth1', address);
  lab.del({ ...vrf(), prevResult }, target);
  t.deepEqual(vrfs(sandbox), []);
  lab.del({ ...vrf(), prevResult }, target);
});

needs('vrf')('two interfaces share a VRF, a third has its own; the last one takes it along', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const [one, two, three] = [1, 2, 3].map((n) => attached(lab, sandbox, n)) as [Container, Container, Container];
  const red = vrf({ vrfname: 'red' });
  lab.add({ ...vrf(), prevResult: one.prevResult }, one.target);
  lab.add({ ...vrf(), prevResult: two.prevResult }, two.target);
  lab.add({ ...red, prevResult: three.prevResult }, three.target);
  t.deepEqual(vrfs(sandbox), ['blue 1', 'red 2']);
  t.deepEqual(routes(sandbox, 'vrf', 'blue').sort(), [...expected(1), ...expected(2)].sort());
  t.deepEqual(routes(sandbox, 'vrf', 'red').sort(), expected(3).sort());
  lab.del(vrf(), one.target);
  t.deepEqual(vrfs(sandbox), ['blue 1', 'red 2']);
  lab.del(vrf(), two.target);
  lab.del(red, three.target);
  t.deepEqual(vrfs(sandbox), []);
});

needs('vrf')(
  'an interface that somebody else has put into the VRF stays there, and so does a VRF of somebody else',
  (t) => {
    const lab = new Lab(t);
    const sandbox = lab.sandbox('c1');
    const { target, prevResult } = attached(lab, sandbox);
    const before = lab.snapshot();
    lab.add({ ...vrf(), prevResult }, target);
    const member = () => sandbox.ip<{ master?: string }>('link', 'show', 'eth1')[0]?.master;
    // Another network's ADD for the same interface is refused, and so is that of a container that shares the namespace.
    // The runtime calls DEL all the same.
    for (const [conf, other] of [
      [vrf({ name: 'other' }), target],
      [vrf(), { ...target, containerId: 'sharer' }],
    ] as const) {
      t.regex(lab.exec('ADD', { ...conf, prevResult }, other).output.msg ?? '', /has already a master set: blue/);
      lab.del({ ...conf, prevResult }, other);
      lab.gc({ ...conf, name: 'other' }, []);
      t.is(member(), 'blue');
    }
    lab.del(vrf(), target);
    t.is(member(), undefined);
    t.deepEqual(vrfs(sandbox), []);

    sandbox.run('ip', 'link', 'add', 'blue', 'type', 'vrf', 'table', '9');
    lab.add({ ...vrf(), prevResult }, target);
    lab.del(vrf(), target);
    t.deepEqual(vrfs(sandbox), ['blue 9']);
    lab.add({ ...vrf(), prevResult }, target);
    lab.gc(vrf(), []);
    t.is(lab.snapshot(), before);
  },
);

needs('vrf')('the table asked for, in 32 bits; another than that of the VRF is refused', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const [one, two] = [attached(lab, sandbox, 1), attached(lab, sandbox, 2)];
  const conf = vrf({ table: 3_000_000_000 });
  lab.add({ ...conf, prevResult: one.prevResult }, one.target);
  t.deepEqual(vrfs(sandbox), ['blue 3000000000']);
  lab.check(conf, one.target, one.prevResult);
  const other = lab.exec('ADD', { ...vrf({ table: 7 }), prevResult: two.prevResult }, two.target);
  t.is(other.output.code, 111);
  t.regex(other.output.msg ?? '', /VRF blue already exist with different routing table 3000000000/);
  const again = lab.exec('ADD', { ...conf, prevResult: one.prevResult }, one.target);
  t.regex(again.output.msg ?? '', /interface eth1 has already a master set: blue/);
  sandbox.run('ip', 'link', 'set', 'eth1', 'nomaster');
  const { output } = lab.exec('CHECK', { ...conf, prevResult: one.prevResult }, one.target);
  t.is(output.code, 110);
  t.regex(output.msg ?? '', /"eth1" in the container is not in the VRF "blue"/);
});

for (const [conf, code, says] of [
  [{ vrfname: undefined }, 7, /"vrfname" is missing/],
  [{ vrfname: '' }, 7, /"vrfname" is "", expected the name of an interface/],
  [{ vrfname: 'a name' }, 7, /"vrfname" is "a name"/],
  [{ vrfname: 'lo' }, 111, /"lo" already exists but is not a VRF/],
  [{ table: -1 }, 7, /"table" is -1, expected a whole number from 0/],
  [{ table: 255 }, 7, /"table" is 255, expected another than 253 to 255/],
  [{ prevResult: undefined }, 7, /"prevResult" is missing/],
] as const) {
  test.serial(
    `refused, and nothing changes: ${Object.entries(conf).map(([key, value]) => `${key} ${JSON.stringify(value)}`)}`,
    (t) => {
      const lab = new Lab(t);
      const sandbox = lab.sandbox('c1');
      const { target, prevResult } = attached(lab, sandbox);
      const before = [lab.snapshot(), ...routes(sandbox)].join('\n');
      const { status, output } = lab.exec('ADD', { ...vrf(), prevResult, ...conf }, target);
      t.is(status, 1);
      t.is(output.code, code, output.msg);
      t.regex(output.msg ?? '', says);
      t.is([lab.snapshot(), ...routes(sandbox)].join('\n'), before);
    },
  );
}

test.serial('a kernel without VRFs: ADD and STATUS say so, and nothing changes', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const { target, prevResult } = attached(lab, sandbox);
  const before = routes(sandbox);
  const status = lab.exec('STATUS', vrf());
  const added = lab.exec('ADD', { ...vrf(), prevResult }, target);
  if (isThere('vrf')) {
    t.deepEqual([status.status, added.status], [0, 0]);
    return;
  }
  t.is(status.output.code, 50);
  t.regex(status.output.msg ?? '', /without VRFs \(CONFIG_NET_VRF\)/);
  t.is(added.output.code, 105);
  t.regex(added.output.msg ?? '', /Cannot make a VRF: this kernel is built without them/);
  t.deepEqual(routes(sandbox), before);
});

test.serial('DEL without the namespace, without a VRF, and GC succeed', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const { target } = attached(lab, sandbox);
  lab.del(vrf(), target);
  lab.del(vrf(), { containerId: 'c1', ifname: 'eth1', netns: `${lab.root}/netns/never` });
  lab.gc(vrf(), []);
  t.pass();
});
