/** Neighbours in the live kernel, judged by `ip`. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Ip } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import * as link from '../../src/rtnl/link.ts';
import * as neigh from '../../src/rtnl/neigh.ts';
import { openRoute } from '../../src/rtnl/socket.ts';
import { becomeHost, ip } from '../support/host.ts';

becomeHost();
execFileSync('bash', ['-e'], {
  input: 'ip link add n0 type veth peer name n1; ip link set n0 up; ip link set n1 up; ip addr add 10.1.0.2/24 dev n0',
});

const MAC = parseMac('02:00:00:00:00:09');
const OTHER = parseMac('02:00:00:00:00:0a');

function shown(dst: string): Record<string, unknown>[] {
  return ip('neigh', 'show', 'dev', 'n0').filter((each) => each['dst'] === dst);
}

for (const address of ['10.1.0.9', 'fd00::9']) {
  test(`replace and remove set and take away the neighbour ${address}`, (t) => {
    using nl = openRoute();
    const { index } = link.get(nl, { name: 'n0' });
    nl.execute(neigh.replace(index, Ip.parse(address), MAC));
    t.like(shown(address)[0], { lladdr: MAC, state: ['PERMANENT'] });
    nl.execute(neigh.replace(index, Ip.parse(address), OTHER, neigh.NUD.STALE));
    t.like(shown(address)[0], { lladdr: OTHER, state: ['STALE'] });
    const found = neigh.list(nl).find(({ ip: dst }) => `${dst}` === address);
    t.like(found, { link: index, mac: OTHER, state: neigh.NUD.STALE });
    nl.execute(neigh.remove(index, Ip.parse(address)));
    t.deepEqual(shown(address), []);
    t.false(neigh.list(nl).some(({ ip: dst, state }) => `${dst}` === address && state !== neigh.NUD.FAILED));
  });
}

test('remove says that there is no such neighbour', (t) => {
  using nl = openRoute();
  const { index } = link.get(nl, { name: 'n0' });
  t.throws(() => nl.execute(neigh.remove(index, Ip.parse('10.1.0.77'))), { code: 'ENOENT' });
});
