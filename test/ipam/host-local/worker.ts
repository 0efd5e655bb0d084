/**
 * A process that works on a network of leases: `worker.ts ROOT ID VERB…`. The verbs are reserve, release, find, gc
 * (only ID is valid) and kill:N (die before the Nth libc call from there on). Prints what each verb returns as one line
 * of JSON, or `{"error": …}`.
 */
import { messageOf } from '../../../src/error.ts';
import { find, gc, release, reserve } from '../../../src/ipam/host-local/store.ts';
import { tapLibc } from './libc-tap.ts';
import { placeAt, setsOf } from './place.ts';

const [root = '', id = '', ...verbs] = process.argv.slice(2);
const place = placeAt(root);
const owner = { containerId: id, ifname: 'eth0' };
const sets = setsOf(...(process.env['SUBNETS'] ?? '10.1.0.0/16,fd00::/64').split(','));

function run(verb: string): unknown {
  if (verb === 'reserve') return reserve(place, owner, sets).map(({ ip }) => ip);
  if (verb === 'release') return release(place, owner);
  if (verb === 'find') return find(place, owner);
  if (verb === 'gc') return gc(place, [owner]);
  const count = Number(/^kill:(\d+)$/.exec(verb)?.[1]);
  tapLibc((_name, n) => {
    if (n === count) process.kill(process.pid, 'SIGKILL');
    return undefined;
  });
  return verb;
}

for (const verb of verbs) {
  try {
    console.log(JSON.stringify(run(verb)));
  } catch (error) {
    console.log(JSON.stringify({ error: messageOf(error) }));
  }
}
