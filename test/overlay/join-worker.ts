/** Joins 25 nodes, one after another: a process of file-store.test.ts. */
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { join } from '../../src/overlay/file-store.ts';

const [store = '', number = '0'] = process.argv.slice(2);
for (let i = 0; i < 25; i++) {
  const name = `node${Number(number) * 25 + i}`;
  const address = Ip.parse('192.0.2.1').plus(BigInt(Number(number) * 25 + i));
  join(store, Cidr.parse('10.96.0.0/16'), 24, { name, address, machine: name });
}
