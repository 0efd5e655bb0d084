/**
 * Published SCTP ports. This kernel has no SCTP sockets, but it translates SCTP packets: a packet is made here, sent by
 * a raw socket of another machine, and captured in the container with its new address, port and checksum. RFC 9260,
 * sections 3 and 6.8.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { becomeHost, type Sandbox } from '../../support/host.ts';
import { Lab } from '../../support/lab.ts';
import { until } from '../../support/until.ts';
import { publish, withdraw } from './publisher.ts';

becomeHost();

const SOURCE = 40_000;
const HOST_PORT = 9999;
const CONTAINER_PORT = 99;

/** CRC-32C, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The packet with its checksum, computed with zeros in its place. */
function sealed(packet: Buffer): Buffer {
  const copy = Buffer.from(packet);
  copy.writeUInt32LE(0, 8);
  copy.writeUInt32LE(crc32c(copy), 8);
  return copy;
}

/** An INIT: source and destination port, verification tag 0, checksum, then the chunk. */
function init(port: number): Buffer {
  const packet = Buffer.alloc(12 + 20);
  packet.writeUInt16BE(SOURCE, 0);
  packet.writeUInt16BE(port, 2);
  packet.writeUInt8(1, 12);
  packet.writeUInt16BE(20, 14);
  packet.writeUInt32BE(0x12345678, 16); // the tag that answers must carry
  packet.writeUInt32BE(65_536, 20);
  packet.writeUInt16BE(1, 24);
  packet.writeUInt16BE(1, 26);
  packet.writeUInt32BE(1, 28);
  return sealed(packet);
}

const SEND = {
  4: 'socket(S, PF_INET, SOCK_RAW, 132) or die; send(S, pack("H*", $ARGV[1]), 0, pack_sockaddr_in(0, inet_aton($ARGV[0]))) or die',
  6: 'socket(S, PF_INET6, SOCK_RAW, 132) or die; send(S, pack("H*", $ARGV[1]), 0, pack_sockaddr_in6(0, Socket::inet_pton(AF_INET6, $ARGV[0]))) or die',
} as const;

/**
 * The first SCTP packet that reaches a container, from its SCTP header on. The packet is sent again until one arrives.
 */
async function received(
  { path }: Sandbox,
  send: () => void,
): Promise<{ readonly line: string; readonly sctp: Buffer }> {
  const filter = ['-n', '-l', '-x', '-c', '1', '-i', 'eth0', 'ip proto 132 or ip6 proto 132'];
  const tcpdump = spawn('nsenter', [`--net=${path}`, 'tcpdump', ...filter], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, errors] = ['', ''];
  tcpdump.stdout.on('data', (data) => (said += data));
  tcpdump.stderr.on('data', (data) => (errors += data));
  const ended = once(tcpdump, 'close');
  try {
    await until('tcpdump listens', () => errors.includes('listening'));
    await until(
      'the packet is there',
      () => {
        if (/0x0030/.test(said)) return true;
        send();
        return false;
      },
      { end: ended.then(() => (/0x0030/.test(said) ? new Promise<string>(() => {}) : errors)) },
    );
  } finally {
    tcpdump.kill('SIGKILL');
    await ended;
  }
  const [line = ''] = said.split('\n');
  const hex = [...said.matchAll(/^\s+0x\w+:\s+(.*)$/gm)].map(([, words = '']) => words.replaceAll(' ', '')).join('');
  const packet = Buffer.from(hex, 'hex');
  return { line, sctp: packet.subarray(packet[0] === 0x45 ? 20 : 40) };
}

for (const [family, host, near, container] of [
  [4, '192.0.2.1', '192.0.2.9', '10.1.0.2'],
  [6, '2001:db8::1', '2001:db8::9', 'fd00:1::2'],
] as const) {
  test.serial(
    `SCTP over IPv${family}: a packet of another machine comes to the container, and to nobody after DEL`,
    async (t) => {
      const lab = new Lab(t);
      const remote = lab.sandbox('machine');
      const blue = lab.sandbox('blue');
      const length = family === 4 ? 24 : 64;
      const nodad = family === 4 ? [] : ['nodad'];
      execFileSync('ip', ['link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', remote.path]);
      execFileSync('ip', ['addr', 'add', `${host}/${length}`, 'dev', 'lan0', ...nodad]);
      execFileSync('ip', ['link', 'set', 'lan0', 'up']);
      remote.run('ip', 'addr', 'add', `${near}/${length}`, 'dev', 'eth0', ...nodad);
      remote.run('ip', 'link', 'set', 'eth0', 'up');
      publish(lab, blue, [{ hostPort: HOST_PORT, containerPort: CONTAINER_PORT, protocol: 'sctp' }]);
      const send = () => remote.run('perl', '-MSocket', '-e', SEND[family], host, init(HOST_PORT).toString('hex'));

      const { line, sctp } = await received(blue, send);
      t.true(line.includes(`${near}.${SOURCE} > ${container}.${CONTAINER_PORT}: sctp`), line);
      t.is(
        sctp.toString('hex'),
        init(CONTAINER_PORT).toString('hex'),
        'the port is another one, and the checksum is right',
      );

      withdraw(lab, blue);
      t.notRegex(lab.snapshot(), /sctp/);
    },
  );
}
