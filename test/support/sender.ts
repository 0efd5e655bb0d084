/**
 * A program that sends a datagram every 20 ms from a fixed source port, and prints each answer as a line. It lives
 * until it is killed.
 *
 *   node sender.ts ADDRESS PORT SOURCE-PORT
 */
import { createSocket } from 'node:dgram';
import { argv, stdout } from 'node:process';

const [address = '', port = '', source = ''] = argv.slice(2);

const isV6 = address.includes(':');
const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', ...(isV6 && { ipv6Only: true }) });
socket.on('message', (data) => stdout.write(`${data}\n`));
socket.on('error', () => {}); // nobody listens yet
socket.bind(Number(source), () => setInterval(() => socket.send('hello', Number(port), address), 20));
