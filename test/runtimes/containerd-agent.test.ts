/** containerd with `dist/bin` in place of the reference plugins, and an agent that they find. */
import test from 'ava';
import { throughAgent } from './agent.ts';
import { containerd } from './containerd.ts';
import { contract } from './contract.ts';
import { Machine } from './machine.ts';
import type { Runtime } from './runtime.ts';
import { sharing } from './sharing.ts';

let machine: Machine;
let runtime: Runtime;

test.before(async () => {
  machine = await Machine.start();
  await machine.startAgent();
  runtime = await containerd(machine);
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

const setting = () => ({ machine, runtime });

contract(test, setting, 'netloom0', [{ prefix: '10.86.0.', gateway: '10.86.0.1' }]);

sharing(test, setting);
throughAgent(test, setting, ['bridge', 'container']);
