/** containerd with `dist/bin` instead of the reference plugins, and an agent that they find. */
import test from 'ava';
import { throughAgent } from './agent.ts';
import { containerd } from './containerd.ts';
import { contract } from './contract.ts';
import { settingOf } from './setting.ts';
import { sharing } from './sharing.ts';

const setting = settingOf(test, containerd, { hasAgent: true });

contract(test, setting, 'netloom0', [{ prefix: '10.86.0.', gateway: '10.86.0.1' }]);

sharing(test, setting);
throughAgent(test, setting, ['bridge', 'container']);
