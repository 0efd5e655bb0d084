/**
 * One end of a TCP connection that sends as fast as it can. `receive PORT MILLISECONDS` prints the number of bytes
 * received and the milliseconds since the connection was accepted. `send ADDRESS PORT` sends until the other end
 * closes.
 */
import { connect, createServer } from 'node:net';

const [verb, ...args] = process.argv.slice(2);

if (verb === 'receive') {
  const [port, milliseconds] = args.map(Number);
  const server = createServer((socket) => {
    const begin = performance.now();
    let bytes = 0;
    socket.on('error', () => {});
    socket.on('data', (data) => {
      bytes += data.length;
      // NB: read the clock after counting the bytes. If the process had to wait, bytes and time then still belong
      // together.
      const elapsed = performance.now() - begin;
      if (elapsed < (milliseconds ?? 0)) return;
      process.stdout.write(`${JSON.stringify({ bytes, elapsed })}\n`, () => process.exit());
    });
  });
  server.listen(port, '::', () => process.stderr.write('ready\n'));
} else {
  const [address = '', port] = args;
  const socket = connect(Number(port), address);
  const block = new Uint8Array(1 << 16);
  const fill = () => {
    while (socket.write(block));
  };
  socket.on('connect', fill);
  socket.on('drain', fill);
  socket.on('error', () => process.exit());
  socket.on('close', () => process.exit());
}
