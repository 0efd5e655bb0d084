/** One call of gRPC, over a unix socket. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';

/** A flag that says whether it is compressed, and the length. */
const PREFIX_BYTES = 5;

/**
 * Calls a method that takes one message and answers with one. A connection a call, so that a server may be another one
 * by the next.
 * @param path `/package.Service/Method`
 * @throws Error with the status and the server's own sentence
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
    // Where there is no message the headers are the trailers too.
    for (const event of ['response', 'trailers']) stream.on(event, (headers) => (status = { ...status, ...headers }));
    const chunks = await Promise.race([stream.toArray(), failed]);
    if (status['grpc-status'] !== '0')
      throw new Error(`${path}: status ${status['grpc-status']}: ${decodeURIComponent(`${status['grpc-message']}`)}`);
    return Buffer.concat(chunks).subarray(PREFIX_BYTES);
  } finally {
    session.destroy();
  }
}
