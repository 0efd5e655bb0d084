/** Entries of connection tracking, judged by conntrack. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { Ip } from '../../src/net/ip.ts';
import { list } from '../../src/nft/ct/entry.ts';
import { forget } from '../../src/nft/ct/forget.ts';
import { openNft } from '../../src/nft/socket.ts';
import { enterNewNetns } from './netns.ts';

enterNewNetns();

const conntrack = (...args: string[]) =>
  execFileSync('conntrack', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const insert = (source: string, destination: string, protocol: string, port: number, answerer = destination) =>
  conntrack(
    ...['-I', '-p', protocol, '-s', source, '-d', destination, '--sport', '1000', '--dport', String(port)],
    ...['--reply-src', answerer, '--reply-dst', source, '--reply-port-src', String(port), '--reply-port-dst', '1000'],
    ...['-t', '600', ...(protocol === 'tcp' ? ['--state', 'ESTABLISHED'] : [])],
  );

test.afterEach.always(() => {
  conntrack('-F');
});

test.serial('the kernel lists what is wanted, and forgets what is chosen of it', (t) => {
  insert('192.0.2.9', '192.0.2.1', 'udp', 53, '10.1.0.2');
  insert('192.0.2.9', '192.0.2.1', 'tcp', 53, '10.1.0.2');
  insert('192.0.2.9', '192.0.2.1', 'udp', 54, '10.1.0.3');
  insert('192.0.2.8', '192.0.2.2', 'udp', 53);
  using nft = openNft();
  const told = (entries: ReturnType<typeof list>) =>
    entries.map(({ protocol, destination, port, answerer }) => `${protocol} ${destination} ${port} ${answerer}`).sort();
  t.deepEqual(told(list(nft, 4, { protocol: 17, port: 53 })), [
    '17 192.0.2.1 53 10.1.0.2',
    '17 192.0.2.2 53 192.0.2.2',
  ]);
  t.deepEqual(told(list(nft, 4, { answerer: Ip.parse('10.1.0.2') })), [
    '17 192.0.2.1 53 10.1.0.2',
    '6 192.0.2.1 53 10.1.0.2',
  ]);
  insert('192.0.2.1', '192.0.2.9', 'udp', 5353);
  t.deepEqual(told(list(nft, 4, { protocol: 17, askerPort: 1000 })).length, 4);
  t.deepEqual(told(list(nft, 4, { protocol: 17, askerPort: 53 })), []);
  t.is(list(nft, 4, { protocol: 17 }).length, 4);
  t.is(list(nft, 4, { protocol: 6 }).length, 1);
  t.deepEqual(told(list(nft, 6, { protocol: 17, port: 53 })), []);
  t.is(
    forget(nft, 4, { protocol: 17, port: 53 }, ({ destination }) => `${destination}` === '192.0.2.1'),
    1,
  );
  t.is(conntrack('-L').match(/^(udp|tcp)/gm)?.length, 4);
  t.notRegex(conntrack('-L', '-p', 'udp', '--dport', '53'), /dst=192\.0\.2\.1 /);
});

test.serial('IPv6 as well, where the kernel does not filter by address', (t) => {
  insert('2001:db8::9', '2001:db8::1', 'udp', 53, 'fd00::2');
  using nft = openNft();
  const forgetAll = (answerer: Ip) =>
    forget(nft, 6, { answerer }, (entry) => entry.answerer?.equals(answerer) === true);
  t.is(forgetAll(Ip.parse('fd00::3')), 0);
  t.is(forgetAll(Ip.parse('fd00::2')), 1);
  t.notRegex(conntrack('-L', '-f', 'ipv6'), /2001:db8::1/);
});
