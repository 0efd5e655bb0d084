/** The FDB of a tunnel in the live kernel, judged by `bridge`. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Ip } from '../../src/net/ip.ts';
import { type Mac, parseMac } from '../../src/net/mac.ts';
import * as fdb from '../../src/rtnl/fdb.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';

becomeHost();

const MAC = parseMac('02:00:00:00:00:09');

interface Shown {
  readonly mac: string;
  readonly dst: string;
  readonly state: string;
}

function shown(name: string): Shown[] {
  return JSON.parse(execFileSync('bridge', ['-j', 'fdb', 'show', 'dev', name], { encoding: 'utf8' })) as Shown[];
}

/** Makes a tunnel. @returns its index */
function tunnel(name: string, id: number, local: string): number {
  using nl = openRoute();
  const address = Ip.parse(local);
  const source = address.family === 4 ? { local: address } : { local6: address };
  const data = { id, ...source, learning: false, dstport: 4789 };
  nl.execute(link.add({ name, linkinfo: { kind: 'vxlan', data } }, { up: true }));
  return link.get(nl, { name }).index;
}

for (const [name, id, local, one, other] of [
  ['x4', 4, '192.0.2.1', '192.0.2.2', '192.0.2.3'],
  ['x6', 6, '2001:db8::1', '2001:db8::2', '2001:db8::3'],
] as const) {
  test(`an entry is set, moved and removed, and is told of as bridge tells of it: ${local}`, (t) => {
    using nl = openRoute();
    const index = tunnel(name, id, local);
    t.like(ip('link', 'show', name)[0], {
      linkinfo: { info_kind: 'vxlan', info_data: { id, port: 4789, learning: false } },
    });
    nl.execute(fdb.replace(index, MAC, Ip.parse(one)));
    nl.execute(fdb.replace(index, MAC, Ip.parse(other)));
    for (const dst of [one, other, one]) nl.execute(fdb.append(index, fdb.ANY_MAC, Ip.parse(dst)));
    const entries = (list: readonly { mac: string; dst: unknown }[]) =>
      list.map(({ mac, dst }) => `${mac} ${dst}`).sort();
    const wanted = [`${fdb.ANY_MAC} ${one}`, `${fdb.ANY_MAC} ${other}`, `${MAC} ${other}`];
    t.deepEqual(entries(shown(name)), wanted);
    t.true(shown(name).every(({ state }) => state === 'permanent'));
    t.deepEqual(entries(fdb.list(nl, index)), wanted);
    t.true(fdb.list(nl, index).every(({ isPermanent }) => isPermanent));
    nl.execute(fdb.remove(index, MAC, Ip.parse(other)));
    nl.execute(fdb.remove(index, fdb.ANY_MAC, Ip.parse(one)));
    t.deepEqual(entries(shown(name)), [`${fdb.ANY_MAC} ${other}`]);
    t.throws(() => nl.execute(fdb.remove(index, MAC, Ip.parse(other))), { code: 'ENOENT' });
    t.throws(() => nl.execute(fdb.replace(index, fdb.ANY_MAC, Ip.parse(one))), { code: 'EOPNOTSUPP' });
  });
}

test('only what is asked for is listed: the entries and neighbours of one tunnel', (t) => {
  using nl = openRoute();
  const [first, second] = [tunnel('y1', 11, '192.0.2.1'), tunnel('y2', 12, '192.0.2.1')];
  const station = Ip.parse('192.0.2.7');
  for (const index of [first, second]) {
    nl.execute(fdb.replace(index, MAC, station));
    nl.execute(neigh.replace(index, Ip.parse('10.1.0.7'), MAC));
  }
  t.deepEqual(
    fdb.list(nl, first).map(({ link: its }) => its),
    [first],
  );
  t.deepEqual(
    neigh.list(nl, { link: second }).filter(({ state }) => state === neigh.NUD.PERMANENT),
    [{ link: second, ip: Ip.parse('10.1.0.7'), mac: MAC, state: neigh.NUD.PERMANENT }],
  );
});

test('thousands of entries in batches, listed whole', (t) => {
  using nl = openRoute();
  const index = tunnel('z1', 21, '192.0.2.1');
  const macs = Array.from({ length: 3000 }, (_, i) => parseMac(`02:00:00:00:${hex(i >> 8)}:${hex(i & 255)}`));
  nl.executeAll(macs.map((mac) => fdb.replace(index, mac, Ip.parse('192.0.2.9'))));
  const found = new Set<Mac>(fdb.list(nl, index).map(({ mac }) => mac));
  t.is(found.size, macs.length);
  t.is(shown('z1').length, macs.length);
});

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}
