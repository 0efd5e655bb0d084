/** Unix stream sockets, for clients: enough to send a daemon a request and read its answer. man 7 unix */
import { adapter } from '#ffi';
import { NetloomError } from '../error.ts';
import { Fd, readAll, writeAll } from './file.ts';
import { check, cString, libc, uninterrupted } from './libc.ts';
import { AF_UNIX, UNIX_PATH_MAX, unixAddress } from './unix-address.ts';

const lib = adapter.load({ connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' } });

const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;

/**
 * Sends bytes to a daemon's socket and reads until it closes the connection.
 * @param limit milliseconds that each step may take: connecting, and every read
 * @throws NetloomError ENOENT, ECONNREFUSED where nobody listens, EAGAIN where a step takes too long, EFBIG
 */
export function exchange(path: string, request: Uint8Array, limit: number): Uint8Array {
  const name = cString(path);
  if (name.length > UNIX_PATH_MAX)
    throw new NetloomError('too-long', `Cannot connect to "${path}": its path is too long for a socket`);
  using socket = new Fd(check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'open a unix socket'));
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    const time = timeval(limit);
    check(libc.setsockopt(socket.number, SOL_SOCKET, option, time, time.length), 'limit the time of a socket');
  }
  const address = unixAddress(name);
  check(
    uninterrupted(() => lib.connect(socket.number, address, address.length)),
    `connect to "${path}"`,
  );
  writeAll(socket.number, request, `"${path}"`);
  return readAll(socket.number, `the answer of "${path}"`);
}

/** struct timeval: s64 seconds, s64 microseconds */
function timeval(milliseconds: number): Uint8Array {
  const seconds = Math.floor(milliseconds / 1000);
  return new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt((milliseconds - seconds * 1000) * 1000)).buffer);
}
