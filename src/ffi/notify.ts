/**
 * Reports the state to a service manager, and takes over the sockets that it has opened. man 3 sd_notify, man 3
 * sd_listen_fds
 */
import { Fd } from './file.ts';
import { cString, libc } from './libc.ts';
import { AF_UNIX, UNIX_PATH_MAX, unixAddress } from './unix-address.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const FIOCLEX = 0x5451;
/** SD_LISTEN_FDS_START */
const FIRST = 3;

/**
 * Sends a state such as `READY=1` to the socket that NOTIFY_SOCKET names, if any. A message that cannot be sent is
 * dropped, as with sd_notify(3).
 */
export function notify(state: string, { NOTIFY_SOCKET: path = '' }: Environment): void {
  const bytes = new TextEncoder().encode(path);
  if (path === '' || bytes.length > UNIX_PATH_MAX) return;
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  using socket = new Fd(fd);
  const address = unixAddress(bytes);
  // The abstract namespace: such a name begins with a NUL, written as @.
  if (path.startsWith('@')) address[2] = 0;
  const message = cString(state);
  libc.sendto(socket.number, message, message.length - 1, MSG_NOSIGNAL, address, address.length);
}

/**
 * The one listening socket that the service manager has passed to this process; undefined where it has passed none, or
 * several.
 */
export function passedSocket({ LISTEN_PID, LISTEN_FDS }: Environment): Fd | undefined {
  if (LISTEN_PID !== String(libc.getpid()) || LISTEN_FDS !== '1') return undefined;
  // Programs that we execute must not inherit it.
  libc.ioctl(FIRST, FIOCLEX, 0);
  return new Fd(FIRST);
}
