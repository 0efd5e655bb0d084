/**
 * A program that answers every client, over TCP and UDP, with its own name and the client's address: `blue 10.1.0.1`.
 * It prints `ready` when it listens, and lives until it is killed.
 *
 *   node answerer.ts NAME PORT [ADDRESS]
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { argv, stdout } from 'node:process';

const [name = '', port = '', address = '::'] = argv.slice(2);

const isV6 = address.includes(':');
const udp = createSocket(isV6 ? 'udp6' : 'udp4');
const tcp = createServer((socket) => {
  socket.on('error', () => {}); // the peer left first
  socket.end(answerTo(socket.remoteAddress ?? ''));
});
udp.on('message', (_data, peer) => udp.send(answerTo(peer.address), peer.port, peer.address));
udp.bind({ port: Number(port), address }, () =>
  tcp.listen({ port: Number(port), host: address }, () => stdout.write('ready\n')),
);

/** An IPv6 socket shows an IPv4 peer by its mapped address. */
function answerTo(peer: string): string {
  return `${name} ${peer.replace('::ffff:', '')}`;
}
