/** Addresses of unix sockets. man 7 unix */

export const AF_UNIX = 1;
/** sizeof(sun_path), with the NUL of a path. */
export const UNIX_PATH_MAX = 108;

/** struct sockaddr_un: u16 family, then the name. */
export function unixAddress(name: Uint8Array): Uint8Array {
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}
