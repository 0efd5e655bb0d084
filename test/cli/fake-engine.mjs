// Answers like docker's API. `fake-engine.mjs SOCKET CONTAINERS`, with the containers by name.
import { createServer } from 'node:net';

const [, , socket, text] = process.argv;
const containers = JSON.parse(text);

function answerTo(path) {
  if (path === '/containers/json') return [200, Object.values(containers)];
  const word = /^\/containers\/([^/]+)\/json$/.exec(path)?.[1] ?? '';
  const found = containers[word] ?? Object.values(containers).find(({ Id }) => Id === word);
  if (found === undefined) return [404, { message: `No such container: ${word}` }];
  return found.failure === undefined ? [200, found] : [found.failure, { message: found.message }];
}

createServer((connection) => {
  connection.once('data', (data) => {
    const path = String(data).split(' ')[1];
    const [status, json] = answerTo(path);
    if (json.silent) return;
    const text =
      json.raw ?? `HTTP/1.0 ${status} It is so\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(json)}`;
    setTimeout(() => connection.end(text), json.delay ?? 0);
  });
}).listen(socket, () => console.log('ready'));
