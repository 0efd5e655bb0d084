/** One gRPC call over a unix socket. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';

/** The compressed flag (1 byte) and the length (4 bytes). */
const PREFIX_BYTES = 5;

/**
 * Calls a method that takes one message and answers with one. Each call has a connection of its own, so the server may
 * be restarted in between.
 * @param path `/package.Service/Method`
 * @throws Error with the status and the server's message
 */
export async function unary(socket: string, path: string, request: Uint8Array): Promise<Uint8Array> {
  const session = http2Connect('http://localhost', { createConnection: () => connect(socket) });
  try {
    const failed = once(session, 'close').then(() => {
      throw new Error(`${path}: the connection ended`);
    });
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([prefix, request]));
    let status: Record<string, unknown> = {};
    // A response without a message has its trailers in the headers.
    for (const event of ['response', 'trailers']) stream.on(event, (headers) => (status = { ...status, ...headers }));
    const chunks = await Promise.race([stream.toArray(), failed]);
    if (status['grpc-status'] !== '0')
      throw new Error(`${path}: status ${status['grpc-status']}: ${decodeURIComponent(`${status['grpc-message']}`)}`);
    return Buffer.concat(chunks).subarray(PREFIX_BYTES);
  } finally {
    session.destroy();
  }
}
