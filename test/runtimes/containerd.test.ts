/** containerd with `dist/bin` instead of the reference plugins. */
import test from 'ava';
import { containerd } from './containerd.ts';
import { contract } from './contract.ts';
import { macvlan } from './macvlan.ts';
import { settingOf } from './setting.ts';
import { sharing } from './sharing.ts';

const setting = settingOf(test, containerd);

contract(test, setting, 'netloom0', [{ prefix: '10.86.0.', gateway: '10.86.0.1' }]);

sharing(test, setting);
macvlan(test, setting);
