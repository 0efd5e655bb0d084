/** An overlay's first container, and a container that shares another's network, while each libc call fails. */
import { spawnSync } from 'node:child_process';
import type { Json } from '../../support/lab.ts';
import { libcFaults } from './contract.ts';

const overlay: Json = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'overlay',
  subnet: '10.96.0.0/16',
  store: {
    type: 'static',
    nodes: [
      { name: 'n1', address: '192.0.2.11', subnet: '10.96.1.0/24' },
      { name: 'n2', address: '192.0.2.12', subnet: '10.96.2.0/24' },
    ],
  },
};

libcFaults({
  title: 'the first container of an overlay',
  conf: overlay,
  hasNeighbour: false,
  isShort: true,
  prepare: () => {
    spawnSync('ip', ['addr', 'add', '192.0.2.11/32', 'dev', 'lo']); // the address may exist already
  },
});

libcFaults({
  title: 'a container that shares the network of another',
  conf: { cniVersion: '1.1.0', name: 'shared', type: 'container', container: 'neighbour' },
  hasNeighbour: true,
  least: { fail: [50, 15], lose: [8, -1] }, // its DEL sends nothing to the kernel that could get lost
});
