/**
 * Kinds of links that a kernel lacks: the message names the option that the kernel must be built with, and nothing is
 * left behind.
 */
import test from 'ava';
import { FEATURES, type FeatureName, isThere } from '../../support/features.ts';
import { becomeHost } from '../../support/host.ts';
import { ipam, labWithMaster } from './contract.ts';

becomeHost();

const KINDS: readonly FeatureName[] = ['macvlan', 'ipvlan', 'vlan', 'dummy'];

for (const type of KINDS) {
  test.serial(`${type}: without it in the kernel, STATUS and ADD say what is missing; with it, both succeed`, (t) => {
    const { lab } = labWithMaster(t);
    const sandbox = lab.sandbox('c1');
    const before = lab.snapshot();
    const conf = { cniVersion: '1.1.0', name: 'net', type, master: 'm0', ipam };
    const asked = lab.exec('STATUS', conf);
    t.is(lab.snapshot(), before);
    const { status, output } = lab.exec('ADD', conf, { sandbox });
    if (isThere(type)) {
      t.deepEqual([asked.status, status], [0, 0]);
      return;
    }
    const lack = `this kernel has no ${type}, it needs ${FEATURES[type].config}`;
    t.deepEqual([asked.output.code, asked.output.msg], [50, `Cannot create ${type} links: ${lack}`]);
    t.is(output.code, 105);
    t.is(output.msg, `Cannot create the ${type} link "eth0": ${lack}`);
    t.is(lab.snapshot(), before);
    lab.del(conf, { sandbox });
  });
}
