/** podman with `dist/bin` instead of the reference plugins, and an agent that they find. */
import test from 'ava';
import { throughAgent } from './agent.ts';
import { contract } from './contract.ts';
import { podman } from './podman.ts';
import { settingOf } from './setting.ts';
import { sharing } from './sharing.ts';

const setting = settingOf(test, (machine) => podman(machine, machine.configure('20-bridge-dual-stack.conflist')), {
  hasAgent: true,
});

contract(test, setting, 'netloom1', [
  { prefix: '10.86.1.', gateway: '10.86.1.1' },
  { prefix: 'fd86:1:', gateway: 'fd86:1::1' },
]);

sharing(test, setting);
throughAgent(test, setting, ['bridge', 'container']);
