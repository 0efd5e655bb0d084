/** kubelet's way to the plugins, containerd's CRI, with `dist/bin` in place of the reference plugins. */
import test from 'ava';
import { contract } from './contract.ts';
import { type Kubelet, kubelet } from './kubelet.ts';
import { Machine } from './machine.ts';
import { BRIDGE, pods, ready, SUBNETS } from './pods.ts';

let machine: Machine;
let runtime: Kubelet;

test.before(async () => {
  machine = await Machine.start();
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
