/** firewall and policy while each libc call fails. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Json } from '../../support/lab.ts';
import { libcFaults } from './contract.ts';

/** The plugins before it need not run: firewall only looks at the link and the addresses. */
const firewall: Json = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'firewall',
  internal: true,
  prevResult: {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'cni0' }],
    ips: [{ address: '10.1.0.2/24' }, { address: 'fd00::2/64' }],
  },
};

const policy: Json = {
  ...firewall,
  type: 'policy',
  policy: { ingress: { allow: ['10.1.0.0/24'] }, egress: { default: 'deny' } },
};

libcFaults({
  title: 'a container of the firewall, beside iptables',
  conf: firewall,
  hasNeighbour: false,
  prepare: () => {
    if (!existsSync('/sys/class/net/cni0')) execFileSync('ip', ['link', 'add', 'cni0', 'type', 'bridge']);
    execFileSync('iptables', ['-P', 'FORWARD', 'DROP']);
  },
});

libcFaults({
  title: 'a container with a policy',
  conf: policy,
  hasNeighbour: false,
  least: { fail: [20, 20], lose: [8, 5] },
});
