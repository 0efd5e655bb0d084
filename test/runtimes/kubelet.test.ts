/** containerd's CRI, through which kubelet calls the plugins, with `dist/bin` instead of the reference plugins. */
import test from 'ava';
import { contract } from './contract.ts';
import { kubelet } from './kubelet.ts';
import { BRIDGE, pods, ready, SUBNETS } from './pods.ts';
import { settingOf } from './setting.ts';

const setting = settingOf(test, kubelet);

ready(test, setting);
contract(test, setting, BRIDGE, SUBNETS);
pods(test, setting);
