/** Connecting to etcd: dead and slow endpoints, members without a leader, certificates, and tokens that expire. */

import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { EtcdClient } from '../../../src/overlay/etcd/client.ts';
import type { EtcdSettings } from '../../../src/overlay/etcd/settings.ts';
import { startingWith } from '../../../src/overlay/etcd/wire.ts';
import { makeCertificates, tlsArgs } from '../../support/certificates.ts';
import { Etcd } from '../../support/etcd.ts';
import { passwordFile, QUESTION, requireUsers, tokenArgs, USER } from '../../support/etcd-users.ts';
import { becomeHost, makeRoot } from '../../support/host.ts';
import { until } from '../../support/until.ts';

becomeHost();

function rootOf(t: Pick<ExecutionContext, 'teardown'>): string {
  const { path, remove } = makeRoot();
  t.teardown(remove);
  return path;
}

function open(t: Pick<ExecutionContext, 'teardown'>, settings: EtcdSettings): EtcdClient {
  const client = new EtcdClient(settings);
  t.teardown(() => client[Symbol.dispose]());
  return client;
}

const RANGE = '/v3/kv/range';

test.serial('an endpoint that is dead and one that is silent are left for one that answers, once', async (t) => {
  const etcd = await Etcd.start(t, rootOf(t));
  let connections = 0;
  const silent = createServer(() => connections++).listen(3000, '127.0.0.1');
  t.teardown(() => silent.close());
  const endpoints = ['http://127.0.0.1:1', 'http://127.0.0.1:3000', ...etcd.endpoints];
  const client = open(t, { ...etcd.settings, endpoints });
  t.truthy((await client.ask(RANGE, QUESTION))['header']);
  for (let i = 0; i < 5; i++) await client.ask(RANGE, QUESTION);
  t.is(connections, 1);
  t.is(client.endpoint, etcd.endpoints[0] ?? '');
});

test.serial('several questions at once that find an endpoint dead leave it, and not the next one', async (t) => {
  const etcd = await Etcd.start(t, rootOf(t));
  const endpoints = ['http://127.0.0.1:1', ...etcd.endpoints];
  const client = open(t, { ...etcd.settings, endpoints });
  const answers = await Promise.all([1, 2, 3, 4].map(() => client.ask(RANGE, QUESTION)));
  t.true(answers.every(({ header }) => header !== undefined));
  t.is(client.endpoint, etcd.endpoints[0] ?? '');
});

test.serial('an endpoint may have an address of IPv6', async (t) => {
  const etcd = await Etcd.start(t, rootOf(t), { address: '::1' });
  t.deepEqual(etcd.endpoints, ['http://[::1]:2379']);
  const endpoints = ['http://[::1]:1', ...etcd.endpoints];
  const client = open(t, { ...etcd.settings, endpoints });
  t.truthy((await client.ask(RANGE, QUESTION))['header']);
  t.is(client.endpoint, 'http://[::1]:2379');
});

test.serial('where none answers the error says of each why', async (t) => {
  const client = open(t, { endpoints: ['http://127.0.0.1:1', 'http://127.0.0.1:2'], prefix: '/netloom' });
  const error = await t.throwsAsync(client.ask(RANGE, QUESTION), { code: 'unreachable' });
  t.regex(
    error?.message ?? '',
    /^Cannot reach etcd at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED.*; Cannot reach etcd at http:\/\/127\.0\.0\.1:2: /,
  );
});

test.serial('a watch on a member that has lost the others ends by itself', async (t) => {
  const etcd = await Etcd.start(t, rootOf(t), { members: 3 });
  const client = open(t, { ...etcd.settings, endpoints: etcd.endpoints.slice(0, 1) });
  await client.ask(RANGE, QUESTION);
  let isCreated = false;
  const watch = client.watch(startingWith('/netloom/'), new AbortController().signal, (result) => {
    isCreated ||= result['created'] === true;
  });
  const ended = watch.then(
    () => 'ended',
    (error: unknown) => String(error),
  );
  await until('it watches', () => isCreated);
  await etcd.killMember(1);
  await etcd.killMember(2);
  t.regex(await ended, /no leader|ended/);
  await t.throwsAsync(client.ask(RANGE, QUESTION), { code: 'unreachable' });
  etcd.startMember(1);
  await until('two of three are enough', async () => (await client.ask(RANGE, QUESTION))['header'] !== undefined);
});

test.serial('a watch is answered with a page of a proxy, or with nonsense: the error says so', async (t) => {
  let [status, text] = [502, '<html>\n<h1>502 Bad Gateway</h1>\n</html>\n'];
  const server = createHttpServer((_, answer) => answer.writeHead(status).end(text)).listen(3000, '127.0.0.1');
  t.teardown(() => server.close());
  const client = open(t, { endpoints: ['http://127.0.0.1:3000'], prefix: '/netloom' });
  const watch = (hear: () => void) => client.watch(QUESTION, new AbortController().signal, hear);
  await t.throwsAsync(
    watch(() => {}),
    { code: 'unreachable', message: 'etcd at http://127.0.0.1:3000 answered: HTTP 502: <html>' },
  );
  [status, text] = [200, 'Hello\n'];
  await t.throwsAsync(
    watch(() => {}),
    { code: 'unreachable', message: 'http://127.0.0.1:3000 is not an etcd: it answered "Hello"' },
  );
  text = '{"result":{}}\n';
  const thrown = new Error('whoever hears it throws');
  const error = await t.throwsAsync(
    watch(() => {
      throw thrown;
    }),
  );
  t.is(error, thrown);
});

test.serial('certificates: of the authority that is given, and one of its own where etcd wants one', async (t) => {
  const root = rootOf(t);
  const certificates = makeCertificates(root, 'one', '127.0.0.1');
  const others = makeCertificates(root, 'other', '127.0.0.1');
  const { ca, client: own } = certificates;
  const settings = { ca, ...own };
  const etcd = await Etcd.start(t, root, { scheme: 'https', args: tlsArgs(certificates), settings });
  t.truthy((await open(t, etcd.settings).ask(RANGE, QUESTION))['header']);
  const { endpoints, prefix } = etcd.settings;
  const refused = async (more: Partial<EtcdSettings>) => {
    const error = await t.throwsAsync(open(t, { endpoints, prefix, ...more }).ask(RANGE, QUESTION));
    return error?.message ?? '';
  };
  t.regex(await refused({}), /^Cannot reach etcd at https:\/\/127\.0\.0\.1:2379: .*certificate/);
  t.regex(await refused({ ca: others.ca, ...own }), /certificate/);
  t.regex(await refused({ ca }), /^Cannot reach etcd at .*(certificate|ECONNRESET|lost|hang up)/);
  t.regex(await refused({ ca, ...others.client }), /^Cannot reach etcd at /);
  t.regex(await refused({ ca: join(root, 'nowhere.pem') }), /nowhere\.pem.*ENOENT/);
});

test.serial('user and password: a token that has expired is renewed, a wrong password is said', async (t) => {
  const root = rootOf(t);
  const etcd = await Etcd.start(t, root, { args: tokenArgs(root, 2) });
  await requireUsers(etcd);
  const withUser = { ...etcd.settings, user: USER, passwordFile: passwordFile(root) };
  const client = open(t, withUser);
  await client.ask(RANGE, QUESTION);
  // This token is younger than the client's. When it has expired, so has the client's.
  const { token } = await etcd.ask('/v3/auth/authenticate', { name: USER, password: 'correct horse' });
  await until('it has expired', async () => {
    const answer = await fetch(`${etcd.endpoints[0]}${RANGE}`, {
      method: 'POST',
      headers: { Authorization: String(token) },
      body: JSON.stringify(QUESTION),
    });
    return /invalid auth token/.test(await answer.text());
  });
  t.truthy((await client.ask(RANGE, QUESTION))['header']);
  await t.throwsAsync(client.ask(RANGE, { key: 'AA==' }), { message: /refused: etcdserver: permission denied/ });
  await t.throwsAsync(open(t, etcd.settings).ask(RANGE, QUESTION), { message: /user name is empty/ });
  writeFileSync(withUser.passwordFile, 'wrong');
  await t.throwsAsync(open(t, withUser).ask(RANGE, QUESTION), {
    code: 'etcd-refused',
    message: /refused: etcdserver: authentication failed, invalid user ID or password/,
  });
});

test.serial('a user is given, and etcd has no authentication yet: it is asked without', async (t) => {
  const root = rootOf(t);
  const etcd = await Etcd.start(t, root, { args: tokenArgs(root, 60) });
  const client = open(t, { ...etcd.settings, user: USER, passwordFile: passwordFile(root) });
  t.truthy((await client.ask(RANGE, QUESTION))['header']);
  await requireUsers(etcd);
  t.truthy((await client.ask(RANGE, QUESTION))['header']);
});
