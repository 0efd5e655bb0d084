/** Who listens on the host, judged by the sockets of this process. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { listeners, openDiag } from '../../src/diag/listeners.ts';
import { enterNewNetns } from '../nft/netns.ts';

enterNewNetns();

async function listen(t: ExecutionContext, host: string, port: number, ipv6Only = false): Promise<void> {
  const server = createServer().listen({ host, port, ipv6Only });
  await once(server, 'listening');
  t.teardown(() => server.close());
}

async function bind(t: ExecutionContext, address: string, port: number): Promise<void> {
  const isV6 = address.includes(':');
  const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', ...(isV6 && { ipv6Only: true }) });
  socket.bind(port, address);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
}

test('sockets that wait on the port, with their addresses, and no other', async (t) => {
  await listen(t, '127.0.0.1', 80);
  await listen(t, '::1', 80, true);
  await listen(t, '::', 81);
  await listen(t, '::', 82, true);
  await bind(t, '127.0.0.1', 80);
  await bind(t, '::', 83);
  using diag = openDiag();
  const found = (protocol: 'tcp' | 'udp' | 'sctp', port: number) =>
    listeners(diag, protocol, port).map(({ address, isDual }) => `${address}${isDual ? ' dual' : ''}`);
  t.deepEqual(found('tcp', 80), ['127.0.0.1', '::1']);
  t.deepEqual(found('tcp', 81), [':: dual']);
  t.deepEqual(found('tcp', 82), ['::']);
  t.deepEqual(found('tcp', 83), []);
  t.deepEqual(found('udp', 80), ['127.0.0.1']);
  t.deepEqual(found('udp', 83), ['::']);
  t.deepEqual(found('sctp', 80), [], 'also where the kernel has no SCTP');
});
