/** A caller of the agent that sends what the test wants, with open files. man 7 unix, man 3 cmsg */
import { adapter } from '#ffi';
import { cString, libc } from '../../src/ffi/libc.ts';
import { AF_UNIX, unixAddress } from '../../src/ffi/unix-address.ts';
import { Connection } from '../../src/ffi/unix-socket.ts';

const lib = adapter.load({
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  sendmsg: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
});

const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const CMSGHDR = 16;

/** How long to wait for the agent's answer, in seconds. It allows for a busy machine. */
const PATIENCE = 60;

/** Connects to the socket of an agent. @returns the connection; receive() gives what the agent sends */
export function callAt(path: string): Connection {
  const fd = libc.socket(AF_UNIX, SOCK_SEQPACKET, 0);
  const address = unixAddress(cString(path));
  if (lib.connect(fd, address, address.length) < 0) throw new Error(`Cannot connect to "${path}"`);
  const connection = new Connection(fd);
  connection.limit(PATIENCE);
  return connection;
}

/** Sends one message with open files. */
export function sendWith({ fd }: Connection, message: Uint8Array<ArrayBuffer>, files: readonly number[]): void {
  const control = new Uint8Array(new ArrayBuffer(CMSGHDR + 8 * Math.ceil(files.length / 2)));
  const rights = new DataView(control.buffer);
  rights.setBigUint64(0, BigInt(CMSGHDR + 4 * files.length), true);
  rights.setInt32(8, SOL_SOCKET, true);
  rights.setInt32(12, SCM_RIGHTS, true);
  for (const [i, file] of files.entries()) rights.setInt32(CMSGHDR + 4 * i, file, true);
  const part = new Uint8Array(BigUint64Array.of(adapter.address(message), BigInt(message.length)).buffer);
  const header = new Uint8Array(new ArrayBuffer(56));
  const view = new DataView(header.buffer);
  view.setBigUint64(16, adapter.address(part), true);
  view.setBigUint64(24, 1n, true);
  if (files.length > 0) {
    view.setBigUint64(32, adapter.address(control), true);
    view.setBigUint64(40, BigInt(control.length), true);
  }
  if (lib.sendmsg(fd, header, MSG_NOSIGNAL) !== message.length) throw new Error('Cannot send the message');
}
