/**
 * One request to an engine's HTTP API over its unix socket. HTTP/1.0 on purpose: the answer ends with the connection,
 * so there are no chunks to join and no connections to keep. RFC 1945
 */
import { begin } from '../../activity.ts';
import { hasCode, messageOf, NetloomError } from '../../error.ts';
import { exchange } from '../../ffi/unix-stream.ts';

export interface Answer {
  readonly status: number;
  /** The body, read as JSON; undefined where it is not JSON. */
  readonly json: unknown;
}

/**
 * How long an engine may take, in milliseconds. Docker's inspect waits while the container is being started or stopped.
 */
const LIMIT = 10_000;

/** @throws NetloomError engine-no-answer */
export function get(engine: string, socket: string, path: string, limit = LIMIT): Answer {
  const request = new TextEncoder().encode(
    `GET ${path} HTTP/1.0\r\nHost: ${engine}\r\nAccept: application/json\r\n\r\n`,
  );
  begin(`asking ${engine}`);
  let bytes: Uint8Array;
  try {
    bytes = exchange(socket, request, limit);
  } catch (cause) {
    const reason = hasCode(cause, 'EAGAIN') ? `nothing came in ${limit / 1000} s` : messageOf(cause);
    throw new NetloomError('engine-no-answer', `${engine} does not answer on "${socket}"`, { details: reason, cause });
  }
  return parse(engine, socket, bytes);
}

function parse(engine: string, socket: string, bytes: Uint8Array): Answer {
  const text = new TextDecoder().decode(bytes);
  const status = /^HTTP\/1\.[01] (\d{3}) /.exec(text)?.[1];
  const end = text.indexOf('\r\n\r\n');
  if (status === undefined || end < 0) {
    throw new NetloomError('engine-no-answer', `What ${engine} answers on "${socket}" is not HTTP`, {
      details: `it begins with ${JSON.stringify(text.slice(0, 80))}`,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text.slice(end + 4));
  } catch {
    json = undefined;
  }
  return { status: Number(status), json };
}
