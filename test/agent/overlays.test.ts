/** How the agent looks at overlays, measured by its requests to the kernel and its writes. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { OverlayKeeper } from '../../src/agent/overlays.ts';
import { messagesOf } from '../../src/netlink/message.ts';
import { remembered } from '../../src/overlay/memory.ts';
import { pathsOf } from '../../src/paths.ts';
import { RTM } from '../../src/rtnl/constants.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';

becomeHost();

const PEERS = 100;

/** Writes a node's record, as that node itself does. */
function put(store: string, number: number, address = `192.0.2.${number + 1}`): void {
  const file = join(store, `10.96.${number}.0_24.json`);
  writeFileSync(`${file}.new`, JSON.stringify({ name: `node${number}`, address, subnet: `10.96.${number}.0/24` }));
  renameSync(`${file}.new`, file);
}

/** A network with an empty store directory, and its conflist. */
function configure(lab: Lab, name: string, underlay: string): { readonly conf: Json; readonly store: string } {
  const store = join(lab.root, 'store');
  mkdirSync(store);
  const plugin = {
    type: 'overlay',
    subnet: '10.96.0.0/16',
    node: 'me',
    underlay,
    store: { type: 'file', path: store },
  };
  const about = { cniVersion: '1.0.0', name };
  mkdirSync(join(lab.root, 'etc/cni/net.d'), { recursive: true });
  writeFileSync(conflistOf(lab, name), JSON.stringify({ ...about, plugins: [plugin] }));
  return { conf: { ...about, ...plugin }, store };
}

function conflistOf(lab: Lab, name: string): string {
  return join(lab.root, `etc/cni/net.d/${name}.conflist`);
}

test.serial('of a node that moves the kernel is told, and nothing is asked about the others', (t) => {
  const lab = new Lab(t);
  const { conf, store } = configure(lab, 'net', '192.0.2.0/24');
  execFileSync('bash', [
    '-ec',
    `ip link add n0 type veth peer name n1; ip link set n0 up; ip link set n1 up; ip addr add 192.0.2.1/24 dev n0
     ip route add 192.0.2.200 dev n0 mtu 1400`,
  ]);
  for (let number = 1; number <= PEERS; number++) put(store, number);
  lab.add(conf, { sandbox: lab.sandbox('c1') });

  const types: number[] = [];
  using nl = openRoute({
    tap(direction, datagram) {
      if (direction === 'out') types.push(...messagesOf(datagram).map(({ type }) => type));
    },
  });
  const said: string[] = [];
  const keeper = new OverlayKeeper(pathsOf({ NETLOOM_ROOT: lab.root }), (message) => said.push(message));
  let now = 0;
  const look = (): { lookups: number; writes: number } => {
    types.length = 0;
    now += 1000;
    keeper.look(nl, now, false);
    // The types of GET requests are 2 modulo 4.
    return {
      lookups: types.filter((type) => type === RTM.GETROUTE).length,
      writes: types.filter((type) => type % 4 !== 2).length,
    };
  };
  const first = look();
  t.true(first.lookups >= PEERS);
  t.is(first.writes, 0, 'the ADD has made it all');
  t.is(look().lookups, 0, 'nothing has changed');

  put(store, 77, '192.0.2.177');
  const moved = look();
  t.is(moved.writes, 1);
  t.true(moved.lookups < 5, `${moved.lookups} lookups`);
  t.deepEqual(said, []);

  // Without a look, from the events of the directory alone.
  const leadsTo = (address: string) => {
    const entries = JSON.parse(execFileSync('bridge', ['-j', 'fdb', 'show'], { encoding: 'utf8' })) as {
      dst?: string;
    }[];
    return entries.filter(({ dst }) => dst === address);
  };
  types.length = 0;
  put(store, 42, '192.0.2.142');
  t.false(keeper.hear(nl));
  t.is(leadsTo('192.0.2.142').length, 1);
  t.is(types.filter((type) => type % 4 !== 2).length, 1);
  t.true(types.length < 10, `${types.length} messages`);
  unlinkSync(join(store, '10.96.43.0_24.json'));
  t.false(keeper.hear(nl));
  t.is(leadsTo('192.0.2.44').length, 0);
  t.is(look().writes, 0, 'nothing is left to do for the look');
  const known = remembered(pathsOf({ NETLOOM_ROOT: lab.root }), 'net');
  t.is(`${known.find(({ name: each }) => each === 'node42')?.address}`, '192.0.2.142');
  t.false(known.some(({ name: each }) => each === 'node43'));

  // If several nodes leave at once, the store may be about to be unmounted. Only a look decides that.
  for (const number of [44, 45]) unlinkSync(join(store, `10.96.${number}.0_24.json`));
  t.true(keeper.hear(nl));
  t.is(leadsTo('192.0.2.45').length, 1);
  t.is(look().writes, 6);
  t.is(leadsTo('192.0.2.45').length, 0);

  // The path to a new peer has a smaller MTU. Events are heeded as before.
  put(store, 150, '192.0.2.200');
  t.true(keeper.hear(nl), 'the devices are another size');
  look();
  const mtu = () => ip<{ mtu: number }>('link', 'show', 'type', 'vxlan').map((tunnel) => tunnel.mtu);
  t.deepEqual(mtu(), [1350]);
  const [home] = ip<{ ifindex: number }>('link', 'show', 'n0');
  t.true(keeper.usesLink(home?.ifindex ?? 0), 'what the kernel tells of it is heeded');
  ip('link', 'set', 'n0', 'mtu', '1300');
  keeper.look(nl, now, true);
  t.deepEqual(mtu(), [1250]);
});

test.serial(
  'a node that joins after the nodes were read for the first container, and before it has its wire, is reached',
  (t) => {
    const lab = new Lab(t);
    const { store } = configure(lab, 'late', '192.0.2.0/24');
    put(store, 1);
    execFileSync('bash', [
      '-ec',
      'ip link add n2 type veth peer name n3; ip link set n2 up; ip link set n3 up; ip addr add 192.0.2.1/24 dev n2',
    ]);
    using nl = openRoute();
    const said: string[] = [];
    const keeper = new OverlayKeeper(
      pathsOf({ NETLOOM_ROOT: lab.root }),
      (message) => said.push(message),
      () => true,
    );
    keeper.look(nl, 1000, false);
    put(store, 2);
    t.false(keeper.hear(nl), 'there is nothing yet to carry it over to');
    // A veth as an ADD makes it.
    execFileSync('bash', [
      '-ec',
      'ip link add wire0 type veth peer name wire1; ip link set wire0 alias netloom:late/c1/eth0',
    ]);
    keeper.look(nl, 2000, false);
    const routes = execFileSync('ip', ['route', 'show', 'proto', '111'], { encoding: 'utf8' });
    t.regex(routes, /10\.96\.1\.0\/24/);
    t.regex(routes, /10\.96\.2\.0\/24/);
    t.deepEqual(said, []);
  },
);

test.serial('a network that never worked and whose conflist is gone is followed no longer', (t) => {
  const lab = new Lab(t);
  const { conf, store } = configure(lab, 'other', '198.51.100.0/24');
  put(store, 1);
  ip('link', 'add', 'n2', 'type', 'bridge');
  ip('addr', 'add', '198.51.100.1/24', 'dev', 'n2');
  lab.add(conf, { sandbox: lab.sandbox('c2') });
  // This machine has lost its underlay address. Its own node has no record, and is not remembered.
  ip('addr', 'del', '198.51.100.1/24', 'dev', 'n2');
  for (const file of readdirSync(store)) if (file !== '10.96.1.0_24.json') rmSync(join(store, file));
  rmSync(join(lab.root, 'var/lib/netloom/overlay'), { recursive: true });
  const said: string[] = [];
  const keeper = new OverlayKeeper(pathsOf({ NETLOOM_ROOT: lab.root }), (message) => said.push(message));
  using nl = openRoute();
  keeper.look(nl, 1000, false);
  t.regex(said.join(), /This machine has no address of the underlay/);
  t.is(keeper.tellers.length, 1);
  unlinkSync(conflistOf(lab, 'other'));
  keeper.look(nl, 2000, false);
  t.deepEqual(keeper.tellers, []);
});
