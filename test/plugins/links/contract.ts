/**
 * What holds for every plugin whose link is only in the container: macvlan, ipvlan, vlan (which hang on a master) and
 * dummy. Each type's test file calls this with a configuration. The master on the host is one end of a veth pair; a
 * station is at the other end.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { type FeatureName, needs } from '../../support/features.ts';
import { ip, type Sandbox } from '../../support/host.ts';
import { type Json, Lab } from '../../support/lab.ts';

export interface LinkJson {
  readonly ifname: string;
  readonly mtu: number;
  readonly address: string;
  readonly ifalias?: string;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

export interface LinkCase {
  readonly type: string;
  readonly needs: FeatureName;
  readonly conf: Json;
  /** Its links hang on the master `m0`. */
  readonly hangs: boolean;
  /**
   * The configuration of a second container in the network. It may differ because a master has only one link per VLAN.
   */
  readonly another: Json;
  /** A configuration with which CHECK must find a difference, and its message. */
  readonly other?: readonly [conf: Json, says: RegExp];
}

export const run = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });

export const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.2' }], [{ subnet: 'fd00::/64', rangeStart: 'fd00::2' }]],
};

/** A lab whose host has the master `m0`, up, with the station `lan` at its other end. */
export function labWithMaster(t: ExecutionContext): { readonly lab: Lab; readonly lan: Sandbox } {
  const lab = new Lab(t);
  const lan = lab.sandbox('lan');
  run('link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', lan.path);
  run('link', 'set', 'm0', 'up');
  lan.run('ip', 'link', 'set', 'eth0', 'up');
  lan.run('ip', 'addr', 'add', '10.1.0.1/24', 'dev', 'eth0');
  lan.run('ip', 'addr', 'add', 'fd00::1/64', 'dev', 'eth0', 'nodad');
  return { lab, lan };
}

export const eth0 = (sandbox: Sandbox, name = 'eth0') => sandbox.ip<LinkJson>('link', 'show', 'dev', name)[0];
const names = (sandbox: Sandbox) => sandbox.ip<LinkJson>('link').map(({ ifname }) => ifname);

export function linkContract(one: LinkCase): void {
  const serial = needs(one.needs);
  const { type, conf, another } = one;

  serial(`${type}: ADD makes the link with its name and mark, CHECK finds it, DEL leaves nothing, twice`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    const result = lab.add(conf, { sandbox });
    const link = eth0(sandbox);
    t.is(link?.linkinfo?.info_kind, type);
    t.is(link?.ifalias, 'netloom:net/c1/eth0');
    t.true(link?.flags.includes('UP'));
    t.deepEqual(result.interfaces, [
      { name: 'eth0', mac: link?.address ?? '', mtu: link?.mtu ?? 0, sandbox: sandbox.path },
    ]);
    t.deepEqual(
      result.ips?.map(({ address, interface: index }) => [address, index]),
      [
        ['10.1.0.2/24', 0],
        ['fd00::2/64', 0],
      ],
    );
    const addresses = sandbox.ip<{ addr_info: { local: string; tentative?: boolean; scope: string }[] }>('addr');
    const global = addresses.flatMap(({ addr_info }) => addr_info).filter(({ scope }) => scope === 'global');
    t.deepEqual(
      global.map(({ local, tentative }) => [local, tentative]),
      [
        ['10.1.0.2', undefined],
        ['fd00::2', undefined],
      ],
    );
    lab.check(conf, { sandbox }, result);
    lab.del({ ...conf, prevResult: result }, { sandbox });
    t.deepEqual(names(sandbox), ['lo']);
    t.is(lab.snapshot(), before);
    lab.del(conf, { sandbox });
    t.is(lab.snapshot(), before);
  });

  serial(`${type}: a host that has an interface of the container's name does not mind, nor does the container`, (t) => {
    const { lab } = labWithMaster(t);
    run('link', 'add', 'eth0', 'type', 'bridge');
    const sandbox = lab.sandbox('c1');
    lab.add(conf, { sandbox });
    t.is(eth0(sandbox)?.linkinfo?.info_kind, type);
    t.is(ip<LinkJson>('link', 'show', 'dev', 'eth0')[0]?.linkinfo?.info_kind, 'bridge');
  });

  serial(`${type}: a name that is taken in the container, and a second ADD, fail and change nothing`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    sandbox.run('ip', 'link', 'add', 'eth0', 'type', 'bridge');
    const empty = lab.snapshot();
    t.is(lab.exec('ADD', conf, { sandbox }).output.code, 111);
    t.deepEqual(names(sandbox), ['lo', 'eth0']);
    t.is(lab.snapshot(), empty);
    const target = { sandbox, ifname: 'eth1' };
    const result = lab.add(conf, target);
    const before = lab.snapshot();
    t.is(lab.exec('ADD', conf, target).output.code, 111);
    t.is(lab.snapshot(), before);
    lab.check(conf, target, result);
  });

  serial(`${type}: DEL without the namespace, or with one that has gone, frees the addresses`, (t) => {
    const { lab } = labWithMaster(t);
    const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
    const before = lab.snapshot();
    lab.add(conf, { sandbox: one });
    lab.add(another, { sandbox: two });
    lab.del(conf, { sandbox: one, netns: '' });
    two[Symbol.dispose]();
    t.false(existsSync(two.path));
    lab.del(another, { sandbox: two });
    t.is(lab.snapshot(), before);
  });

  serial(`${type}: DEL leaves what belongs to somebody else`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(conf, { sandbox });
    const before = lab.snapshot();
    // An ADD for the same container and interface in another network failed because the name was taken.
    const other = { ...another, name: 'other' };
    t.is(lab.exec('ADD', other, { sandbox }).output.code, 111);
    lab.del(other, { sandbox });
    lab.check(conf, { sandbox }, result);
    t.is(lab.snapshot(), before);
    lab.del(conf, { sandbox });
    // A link without a mark, which DEL leaves because someone may have made it by hand. If the runtime passes it in
    // prevResult, as with a link of the reference plugin, DEL removes it.
    lab.add(conf, { sandbox });
    sandbox.run('ip', 'link', 'set', 'eth0', 'alias', '');
    lab.del(conf, { sandbox });
    t.deepEqual(names(sandbox), ['lo', 'eth0']);
    const { address = '' } = eth0(sandbox) ?? {};
    const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'eth0', mac: address, sandbox: sandbox.path }] };
    lab.del({ ...conf, prevResult }, { sandbox });
    t.deepEqual(names(sandbox), ['lo']);
  });

  serial(
    `${type}: GC removes the link of what is not listed where its namespace is still there, and frees the addresses`,
    (t) => {
      const { lab } = labWithMaster(t);
      const [keep, gone] = [{ sandbox: lab.sandbox('keep') }, { sandbox: lab.sandbox('gone') }];
      const kept = lab.add(conf, keep);
      const before = lab.snapshot();
      lab.add(another, gone);
      lab.gc(conf, [{ containerID: 'keep', ifname: 'eth0' }]);
      t.is(lab.snapshot(), before);
      t.deepEqual(names(gone.sandbox), ['lo']);
      lab.check(conf, keep, kept);
    },
  );

  serial(`${type}: CHECK names the difference`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const prevResult = lab.add(conf, { sandbox });
    const says = (changed: Json = {}) => {
      const { output } = lab.exec('CHECK', { ...conf, ...changed, prevResult }, { sandbox });
      t.is(output.code, 110);
      return output.msg ?? '';
    };
    if (one.other !== undefined) t.regex(says(one.other[0]), one.other[1]);
    sandbox.run('ip', 'addr', 'del', '10.1.0.2/24', 'dev', 'eth0');
    t.regex(says(), /the address 10.1.0.2\/24 is missing/);
    sandbox.run('ip', 'link', 'set', 'eth0', 'down');
    t.regex(says(), /"eth0" in the container is down/);
    sandbox.run('ip', 'link', 'del', 'eth0');
    t.regex(says(), /the interface "eth0" in the container is missing/);
  });

  if (one.hangs) masterContract(one);
}

/** What holds for the types that hang on a master. */
function masterContract({ type, needs: feature, conf }: LinkCase): void {
  const serial = needs(feature);
  const { master: _, ...unnamed } = conf;

  serial(`${type}: without a master it takes the link of the default route, and without that it says so`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const { output } = lab.exec('ADD', unnamed, { sandbox });
    t.is(output.code, 112);
    t.regex(output.msg ?? '', /"master" names none, and there is no default route on the host/);
    run('addr', 'add', '10.9.0.2/24', 'dev', 'm0');
    run('route', 'add', 'default', 'via', '10.9.0.1');
    lab.add(unnamed, { sandbox });
    t.is(parentOf(sandbox), 'm0');
  });

  serial(`${type}: linkInContainer looks for the master in the container`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    run('link', 'set', 'm0', 'netns', sandbox.path);
    sandbox.run('ip', 'link', 'set', 'm0', 'up');
    const { output } = lab.exec('ADD', conf, { sandbox });
    t.is(output.msg, 'Cannot find the master "m0" on the host: there is no such interface');
    t.regex(
      output.details ?? '',
      /^there (are: \S|is no link that can be one).*; "linkInContainer" looks in the container/,
    );
    const inside = { ...conf, linkInContainer: true };
    const result = lab.add(inside, { sandbox });
    t.is(sandbox.ip<{ link?: string }>('link', 'show', 'dev', 'eth0')[0]?.link, 'm0');
    t.true(sandbox.reaches('10.1.0.1') || type === 'vlan');
    lab.check(inside, { sandbox }, result);
    lab.del(inside, { sandbox });
    t.deepEqual(names(sandbox), ['lo', 'm0']);
  });

  serial(`${type}: the MTU is the master's, or a smaller one`, (t) => {
    const { lab } = labWithMaster(t);
    run('link', 'set', 'm0', 'mtu', '1500');
    const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
    const before = lab.snapshot();
    for (const mtu of [1600, -1]) {
      const { output } = lab.exec('ADD', { ...conf, mtu }, { sandbox: one });
      t.is(output.code, 7);
      t.is(output.msg, `invalid MTU ${mtu}, must be [0, master MTU(1500)]`);
    }
    t.is(lab.snapshot(), before);
    t.is(lab.add(conf, { sandbox: one }).interfaces?.[0]?.mtu, 1500);
    t.is(eth0(one)?.mtu, 1500);
    lab.del(conf, { sandbox: one });
    t.is(lab.add({ ...conf, mtu: 1400 }, { sandbox: two }).interfaces?.[0]?.mtu, 1400);
    t.is(eth0(two)?.mtu, 1400);
  });

  for (const [title, make, changed, code, says] of BAD_MASTERS) {
    serial(`${type}: refused before any change: ${title}`, (t) => {
      const { lab } = labWithMaster(t);
      make();
      const sandbox = lab.sandbox('c1');
      const before = lab.snapshot();
      const { output } = lab.exec('ADD', { ...conf, ...changed }, { sandbox });
      t.is(output.code, code);
      t.regex(output.msg ?? '', says);
      t.is(lab.snapshot(), before);
      t.deepEqual(names(sandbox), ['lo']);
      t.is(lab.exec('STATUS', { ...conf, ...changed }).output.code, code === 7 && 'mtu' in changed ? 7 : 50);
    });
  }

  serial(`${type}: STATUS asks for the master, and IPAM`, (t) => {
    const { lab } = labWithMaster(t);
    t.is(lab.exec('STATUS', conf).status, 0);
    t.is(lab.exec('STATUS', { ...conf, master: 'gone', linkInContainer: true }).status, 0);
    t.is(lab.exec('STATUS', { ...conf, ipam: { type: 'nothing' } }).output.code, 108);
  });

  serial(`${type}: DEL and GC need no master`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    lab.add(conf, { sandbox });
    run('link', 'del', 'm0'); // the kernel removes the links that hang on it
    lab.del(unnamed, { sandbox });
    t.notRegex(lab.snapshot(), /c1/);
    lab.gc(unnamed, []);
  });
}

const nothing = () => {};

const BAD_MASTERS: readonly [string, () => void, Json, number, RegExp][] = [
  ['a master that is not there', nothing, { master: 'nope' }, 112, /Cannot find the master "nope" on the host/],
  ['the loopback interface', nothing, { master: 'lo' }, 7, /"lo" as the master: it is the loopback interface/],
  [
    'a master without Ethernet',
    () => run('tuntap', 'add', 'mode', 'tun', 'name', 'tun7'),
    { master: 'tun7' },
    7,
    /"tun7" as the master: it is no Ethernet interface/,
  ],
];

/**
 * What an interface hangs on, as `ip` prints it. The master is in the host's namespace, so the container sees a number.
 */
function parentOf(sandbox: Sandbox): string | undefined {
  const [found] = sandbox.ip<{ link_index?: number; link?: string }>('link', 'show', 'dev', 'eth0');
  return ip<{ ifindex: number; ifname: string }>('link').find(({ ifindex }) => ifindex === found?.link_index)?.ifname;
}
