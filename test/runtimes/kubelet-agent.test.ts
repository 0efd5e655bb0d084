/**
 * containerd's CRI, through which kubelet calls the plugins, with `dist/bin` instead of the reference plugins, and an
 * agent that they find.
 */
import test from 'ava';
import { throughAgent } from './agent.ts';
import { contract } from './contract.ts';
import { kubelet } from './kubelet.ts';
import { BRIDGE, pods, ready, SUBNETS, TYPES } from './pods.ts';
import { settingOf } from './setting.ts';

const setting = settingOf(test, kubelet, { hasAgent: true });

ready(test, setting);
contract(test, setting, BRIDGE, SUBNETS);
pods(test, setting);
throughAgent(test, setting, TYPES);
