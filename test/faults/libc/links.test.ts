/** Links other than those of a bridge, while each libc call fails. */
import { makeMaster, makeWire } from '../cable.ts';
import { bridge, libcFaults } from './contract.ts';

libcFaults({ title: 'a container of ptp', conf: { ...bridge, type: 'ptp' }, hasNeighbour: true });

libcFaults({
  title: 'a container of macvlan',
  conf: { ...bridge, type: 'macvlan', master: 'm0' },
  hasNeighbour: false,
  isCollected: true,
  prepare: makeMaster,
  least: { fail: [60, 25], lose: [20, 4] },
});

libcFaults({
  title: 'a container of host-device',
  conf: { ...bridge, type: 'host-device', device: 'm1' },
  hasNeighbour: false,
  isCollected: true,
  prepare: makeWire,
  least: { fail: [60, 25], lose: [20, 4] },
});

libcFaults({
  title: 'a container of tap',
  conf: { ...bridge, type: 'tap' },
  hasNeighbour: false,
  isShort: true,
  least: { fail: [60, 25], lose: [15, 4] },
});
