/** vlan as a container runtime executes it. */
import test from 'ava';
import { needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import type { Json } from '../support/lab.ts';
import { eth0, ipam, labWithMaster, linkContract, run } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'vlan', master: 'm0', vlanId: 5, ipam };

linkContract({
  type: 'vlan',
  needs: 'vlan',
  conf,
  hangs: true,
  another: { ...conf, vlanId: 6 },
  other: [{ vlanId: 6 }, /"eth0" in the container has the vlan id 5, expected 6/],
});

needs('vlan')('frames carry the tag: a container reaches the station of its VLAN, and no other', (t) => {
  const { lab, lan } = labWithMaster(t);
  lan.run('ip', 'addr', 'flush', 'dev', 'eth0');
  lan.run('ip', 'link', 'add', 'link', 'eth0', 'name', 'v5', 'type', 'vlan', 'id', '5');
  lan.run('ip', 'link', 'set', 'v5', 'up');
  lan.run('ip', 'addr', 'add', '10.1.0.1/24', 'dev', 'v5');
  lan.run('ip', 'addr', 'add', 'fd00::1/64', 'dev', 'v5', 'nodad');
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add(conf, { sandbox: one });
  lab.add({ ...conf, vlanId: 6 }, { sandbox: two });
  t.is(eth0(one)?.linkinfo?.info_data?.['id'], 5);
  for (const address of ['10.1.0.1', 'fd00::1']) t.true(one.reaches(address), address);
  t.false(one.reaches('10.1.0.3', 2));
  t.false(two.reaches('10.1.0.1', 2));
});

needs('vlan')('two containers of one VLAN, on the two ends of a wire, reach each other', (t) => {
  const { lab } = labWithMaster(t);
  run('link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'b0');
  for (const name of ['a0', 'b0']) run('link', 'set', name, 'up');
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  lab.add({ ...conf, master: 'a0' }, { sandbox: one });
  lab.add({ ...conf, master: 'b0' }, { sandbox: two });
  for (const address of ['10.1.0.3', 'fd00::3']) t.true(one.reaches(address), address);
});

needs('vlan')(
  'a second link of one VLAN on one master is refused with the reason, and leaves the first one whole',
  (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const result = lab.add(conf, { sandbox });
    const before = lab.snapshot();
    const { output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c2') });
    t.is(output.code, 111);
    t.regex(output.msg ?? '', /"m0" has a link of the VLAN 5 already, here or in another container/);
    t.is(lab.snapshot(), before);
    lab.check(conf, { sandbox }, result);
  },
);

needs('vlan', 'macvlan')('masters that are macvlan and VLAN links themselves', (t) => {
  const { lab, lan } = labWithMaster(t);
  run('link', 'add', 'upper', 'link', 'm0', 'type', 'macvlan', 'mode', 'bridge');
  run('link', 'add', 'link', 'm0', 'name', 'm0.7', 'type', 'vlan', 'id', '7');
  for (const name of ['upper', 'm0.7']) run('link', 'set', name, 'up');
  lan.run('ip', 'link', 'add', 'link', 'eth0', 'name', 'v7', 'type', 'vlan', 'id', '7');
  lan.run('ip', 'link', 'add', 'link', 'v7', 'name', 'v75', 'type', 'vlan', 'id', '5');
  for (const name of ['v7', 'v75']) lan.run('ip', 'link', 'set', name, 'up');
  lan.run('ip', 'addr', 'add', '10.1.0.77/24', 'dev', 'v75', 'noprefixroute');
  lan.run('ip', 'addr', 'flush', 'dev', 'eth0');
  lan.run('ip', 'route', 'add', '10.1.0.0/24', 'dev', 'v75');
  const [one, two, three] = [lab.sandbox('c1'), lab.sandbox('c2'), lab.sandbox('c3')];
  // A VLAN within a VLAN, and a VLAN on a macvlan link.
  lab.add({ ...conf, master: 'm0.7' }, { sandbox: one });
  t.true(one.reaches('10.1.0.77'));
  const result = lab.add({ ...conf, master: 'upper' }, { sandbox: two });
  lab.check({ ...conf, master: 'upper' }, { sandbox: two }, result);
  // A macvlan link on a VLAN.
  const macvlan = { ...conf, type: 'macvlan', master: 'm0.7' };
  const third = lab.add(macvlan, { sandbox: three });
  lab.check(macvlan, { sandbox: three }, third);
  for (const sandbox of [one, two, three]) lab.del(sandbox === three ? macvlan : conf, { sandbox });
});

test.serial('a VLAN that there cannot be is refused before any change; so is one where the kernel has none', (t) => {
  const { lab } = labWithMaster(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  for (const vlanId of [5000, -1, 4095, 1.5]) {
    for (const command of ['ADD', 'STATUS']) {
      const { output } = lab.exec(command, { ...conf, vlanId }, { sandbox });
      t.is(output.code, 7);
      t.is(output.msg, `invalid VLAN ID ${vlanId} (must be between 0 and 4094)`);
    }
  }
  t.is(lab.exec('ADD', { ...conf, vlanId: '5' }, { sandbox }).output.code, 7);
  t.is(lab.snapshot(), before);
});
