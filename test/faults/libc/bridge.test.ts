/** bridge while each libc call fails: a new bridge, one with neighbours, and one made by others. */
import { execFileSync, spawnSync } from 'node:child_process';
import { bridge, libcFaults } from './contract.ts';

libcFaults({
  title: 'the first container of a bridge',
  conf: bridge,
  hasNeighbour: false,
  prepare: () => removeLink('cni0'),
});

libcFaults({ title: 'another container of a bridge', conf: bridge, hasNeighbour: true, isCollected: true });

libcFaults({
  title: 'a container of a bridge that is down and has another address',
  conf: { ...bridge, bridge: 'other0', forceAddress: true, promiscMode: true },
  hasNeighbour: false,
  isShort: true,
  prepare: () => {
    removeLink('other0');
    execFileSync('ip', ['link', 'add', 'other0', 'address', '02:00:00:00:00:01', 'type', 'bridge']);
    execFileSync('ip', ['addr', 'add', '10.9.0.1/24', 'dev', 'other0']);
    // A link gets its queueing discipline when it first goes up, and keeps it.
    for (const state of ['up', 'down']) execFileSync('ip', ['link', 'set', 'other0', state]);
  },
});

function removeLink(name: string): void {
  spawnSync('ip', ['link', 'del', name]);
}
