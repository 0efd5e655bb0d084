/**
 * One of many processes: adds, checks and removes its endpoints, over and over. argv: number, rounds. Reports that it
 * is ready, and begins when told.
 */
import { readSync, writeSync } from 'node:fs';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import * as masquerade from '../../src/nft/masquerade.ts';
import { openNft } from '../../src/nft/socket.ts';

const number = Number(process.argv[2]);
const rounds = Number(process.argv[3]);
using nft = openNft();
writeSync(1, 'ready');
readSync(0, new Uint8Array(1));
for (let round = 0; round < rounds; round++) {
  // Few subnets, so that several processes make and remove the same chains and the table.
  const subnet = (number + round) % 3;
  const comment = `net/c${number}/eth0`;
  const entries = [
    { ip: Ip.parse(`10.${subnet}.0.${number + 2}`), subnet: Cidr.parse(`10.${subnet}.0.0/24`), comment },
    { ip: Ip.parse(`fd00:${subnet}::${number + 2}`), subnet: Cidr.parse(`fd00:${subnet}::/64`), comment },
  ];
  for (const entry of entries) masquerade.add(nft, entry);
  for (const entry of entries) {
    if (!masquerade.has(nft, entry)) throw new Error(`${entry.ip} is not there`);
    masquerade.remove(nft, entry);
    if (masquerade.has(nft, entry)) throw new Error(`${entry.ip} is still there`);
  }
}
