/** podman with `dist/bin` instead of the reference plugins. */
import test from 'ava';
import { contract } from './contract.ts';
import { macvlan } from './macvlan.ts';
import { podman } from './podman.ts';
import { settingOf } from './setting.ts';
import { sharing } from './sharing.ts';

const setting = settingOf(test, (machine) => podman(machine, machine.configure('20-bridge-dual-stack.conflist')));

contract(test, setting, 'netloom1', [
  { prefix: '10.86.1.', gateway: '10.86.1.1' },
  { prefix: 'fd86:1:', gateway: 'fd86:1::1' },
]);

sharing(test, setting);
macvlan(test, setting);
