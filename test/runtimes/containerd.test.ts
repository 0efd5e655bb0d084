/** containerd with `dist/bin` in place of the reference plugins. */
import test from 'ava';
import { containerd } from './containerd.ts';
import { contract } from './contract.ts';
import { Machine } from './machine.ts';
import { macvlan } from './macvlan.ts';
import type { Runtime } from './runtime.ts';
import { sharing } from './sharing.ts';

let machine: Machine;
let runtime: Runtime;

test.before(async () => {
  machine = await Machine.start();
  runtime = await containerd(machine);
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

contract(test, () => ({ machine, runtime }), 'netloom0', [{ prefix: '10.86.0.', gateway: '10.86.0.1' }]);

sharing(test, () => ({ machine, runtime }));
macvlan(test, () => ({ machine, runtime }));
