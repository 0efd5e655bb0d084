/**
 * kubelet's way to the plugins, containerd's CRI, with `dist/bin` in place of the reference plugins, and an agent that
 * they find.
 */
import test from 'ava';
import { throughAgent } from './agent.ts';
import { contract } from './contract.ts';
import { type Kubelet, kubelet } from './kubelet.ts';
import { Machine } from './machine.ts';
import { BRIDGE, pods, ready, SUBNETS, TYPES } from './pods.ts';

let machine: Machine;
let runtime: Kubelet;

test.before(async () => {
  machine = await Machine.start();
  await machine.startAgent();
  runtime = await kubelet(machine);
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

const setting = () => ({ machine, runtime });

ready(test, setting);
contract(test, setting, BRIDGE, SUBNETS);
pods(test, setting);
throughAgent(test, setting, TYPES);
